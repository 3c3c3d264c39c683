"""The index of flags: by tenant and severity, the open ones and those that are over, newest first.

An entry is a hint: only the events of a flag say what it is, and whoever reads an entry compares it with them. Events
may be written in any order and again, so an entry may be stale (a flag that has since risen, ended or gone). A flag
without a current entry would be found by nobody. So each event adds an entry, and takes away only entries that are not
newer than the event itself.

Entries are in order of the time at which a rule last found something, or a reviewer confirmed or overrode the flag.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TypeAlias

import orjson

from abuse.event_time import milliseconds
from abuse.flags.flags import Flag, FlagEvent, FlagState, Severity

#: An entry so old is of no flag: 400 days are the most that a policy may give one, and two weeks for what is late.
LONGEST_MS = 414 * 86_400_000
SEVERITIES = tuple(Severity)
_OVER = (FlagState.OVERRIDDEN, FlagState.EXPIRED)


class AllTenants(Enum):
    """No tenant can be called so."""

    ALL = "*"


ALL_TENANTS = AllTenants.ALL
#: Flags of one tenant, of what names no tenant (None), or of all.
Scope: TypeAlias = str | AllTenants | None


class Side(StrEnum):
    OPEN = "open"
    #: Overridden or expired.
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Place:
    """Where entries are kept together, in order."""

    scope: Scope
    side: Side
    severity: Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """What an event of a flag does to the index: an entry of `at_ms` in each place of `puts`, and none of that time or
    an earlier one in the places of `drops`."""

    flag_id: str
    at_ms: int
    puts: tuple[Place, ...]
    drops: tuple[Place, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which part of the index to read. `over`: also flags that were overridden or have expired, until forgotten."""

    scope: Scope = ALL_TENANTS
    severities: frozenset[Severity] = frozenset(SEVERITIES)
    over: bool = False

    @property
    def places(self) -> tuple[Place, ...]:
        sides = tuple(Side) if self.over else (Side.OPEN,)
        return tuple(Place(self.scope, side, each) for side in sides for each in SEVERITIES if each in self.severities)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Behind an entry. `ties`: how many entries of the same time there are up to it; a broker gives all records of a
    batch one time, and a reader skips so many."""

    at_ms: int
    flag_id: str
    ties: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A flag, and where in the index it was found at this time."""

    flag_id: str
    at_ms: int
    found: frozenset[tuple[Side, Severity]]

    def is_current(self, flag: Flag) -> bool:
        """Whether the flag is what the entry says."""
        return (side_of(flag.state), _severity_of(flag)) in self.found


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Entries, newest first. `more`: there may be further ones behind the last."""

    entries: tuple[Entry, ...]
    more: bool

    def positions(self, after: Position | None) -> Iterator[tuple[Entry, Position]]:
        """Each entry with the position behind it, for a listing that was read `after` a position."""
        for entry in self.entries:
            ties = after.ties + 1 if after is not None and after.at_ms == entry.at_ms else 1
            after = Position(at_ms=entry.at_ms, flag_id=entry.flag_id, ties=ties)
            yield entry, after


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What one place held, newest first, as (time, flag id). `cut`: there may be more behind the last."""

    place: Place
    members: Sequence[tuple[int, str]]
    cut: bool = False


def side_of(state: FlagState) -> Side:
    return Side.OVER if state in _OVER else Side.OPEN


def severity_in(event: FlagEvent) -> Severity:
    """Raises KeyError, ValueError or TypeError, as `moves_of` does, for a document that no worker wrote."""
    return Severity(orjson.loads(event.document)["severity"])


def moves_of(event: FlagEvent) -> Moves:
    document = orjson.loads(event.document)
    state, severity, review = FlagState(document["state"]), Severity(document["severity"]), document["review"]
    times = [document["last_seen"], *([review["at"]] if review is not None else [])]
    side = side_of(state)
    dropped: tuple[Severity, ...] = ()
    if side is Side.OVER:
        dropped = SEVERITIES
    elif state is FlagState.ESCALATED:
        dropped = SEVERITIES[: SEVERITIES.index(severity)]
    scopes: tuple[Scope, ...] = (event.tenant, ALL_TENANTS)
    return Moves(
        flag_id=event.flag_id,
        at_ms=max(map(milliseconds, times)),
        puts=tuple(Place(scope, side, severity) for scope in scopes),
        drops=tuple(Place(scope, Side.OPEN, each) for scope in scopes for each in dropped),
    )


def places_of(tenant: Scope) -> tuple[Place, ...]:
    """Everywhere that a flag of the tenant may have an entry."""
    scopes: tuple[Scope, ...] = (tenant, ALL_TENANTS) if tenant is not ALL_TENANTS else (ALL_TENANTS,)
    return tuple(Place(scope, side, each) for scope in scopes for side in Side for each in SEVERITIES)


def listing_of(read: Iterable[Read], after: Position | None, most: int) -> Listing:
    """What was read of several places in one order, behind a position; nothing that another place may come before."""
    found: dict[tuple[int, str], set[tuple[Side, Severity]]] = {}
    ends: list[tuple[int, str]] = []
    for each in read:
        ends += each.members[-1:] if each.cut else []
        for at_ms, flag_id in each.members:
            if after is None or (at_ms, flag_id) < (after.at_ms, after.flag_id):
                found.setdefault((at_ms, flag_id), set()).add((each.place.side, each.place.severity))
    known_to = max(ends, default=None)
    in_turn = sorted((key for key in found if known_to is None or key >= known_to), reverse=True)
    return Listing(
        entries=tuple(Entry(flag_id=key[1], at_ms=key[0], found=frozenset(found[key])) for key in in_turn[:most]),
        more=known_to is not None or len(in_turn) > most,
    )


def _severity_of(flag: Flag) -> Severity:
    """Of a flag that is over what the event says that ended it: that event's entry is never taken away."""
    return Severity(flag.event["severity"]) if flag.state in _OVER else flag.severity


@dataclass(slots=True)
class InMemoryFlagIndex:
    """The fake: what Redis keeps in sorted sets."""

    entries: dict[Place, dict[str, int]] = field(default_factory=dict)

    def move(self, moves: Moves) -> None:
        for place in moves.puts:
            held = self.entries.setdefault(place, {})
            held[moves.flag_id] = max(moves.at_ms, held.get(moves.flag_id, moves.at_ms))
            for old in [name for name, at_ms in held.items() if at_ms < moves.at_ms - LONGEST_MS]:
                del held[old]
        for place in moves.drops:
            held = self.entries.get(place, {})
            if held.get(moves.flag_id, moves.at_ms + 1) <= moves.at_ms:
                del held[moves.flag_id]

    def remove(self, flag_ids: Iterable[str]) -> None:
        gone = set(flag_ids)
        for held in self.entries.values():
            for name in gone & set(held):
                del held[name]

    def listed(self, selection: Selection, after: Position | None, most: int) -> Listing:
        held = ((place, self.entries.get(place, {})) for place in selection.places)
        read = [Read(place=place, members=[(at_ms, name) for name, at_ms in each.items()]) for place, each in held]
        return listing_of(read, after, most)
