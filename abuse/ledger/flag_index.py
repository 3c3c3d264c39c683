"""The index of flags: by tenant and severity, the open ones and those that are over, newest first.

An entry is a hint: only a flag's events say what the flag is, and a reader compares each entry with the events. Events
may be written in any order and again, so an entry may be stale (the flag has since risen, ended or gone). A flag
without a current entry would be found by nobody. So each event adds an entry, and takes away only entries that are not
newer than the event.

Entries are in order of the time at which a rule last found something, or a reviewer confirmed or overrode the flag.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TypeAlias

from abuse.event_time import milliseconds
from abuse.flags.flags import Flag, FlagEvent, FlagState, Severity
from abuse.flags.mentions import event_of

#: An older entry is of no flag: a policy gives a flag at most 400 days, and late events get two weeks.
LONGEST_MS = 414 * 86_400_000
SEVERITIES = tuple(Severity)
_OVER = (FlagState.OVERRIDDEN, FlagState.EXPIRED)


class AllTenants(Enum):
    """The scope over all tenants; no tenant can have this name."""

    ALL = "*"


ALL_TENANTS = AllTenants.ALL
#: Flags of one tenant, of what names no tenant (None), or of all.
Scope: TypeAlias = str | AllTenants | None


class Side(StrEnum):
    OPEN = "open"
    #: Overridden or expired.
    OVER = "over"


@dataclass(frozen=True, slots=True)
class IndexPlace:
    """A sorted set of entries: of one scope, side and severity."""

    scope: Scope
    side: Side
    severity: Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """The change that a flag's event makes to the index: an entry of `at_ms` in each place of `puts`, and no entry of
    `at_ms` or an earlier time in the places of `drops`."""

    flag_id: str
    at_ms: int
    puts: tuple[IndexPlace, ...]
    drops: tuple[IndexPlace, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The part of the index to read. `over`: also flags that were overridden or have expired, until forgotten."""

    scope: Scope = ALL_TENANTS
    severities: frozenset[Severity] = frozenset(SEVERITIES)
    over: bool = False

    @property
    def places(self) -> tuple[IndexPlace, ...]:
        sides = tuple(Side) if self.over else (Side.OPEN,)
        return tuple(
            IndexPlace(self.scope, side, each) for side in sides for each in SEVERITIES if each in self.severities
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A position behind an entry. `ties`: the number of entries of the same time up to the position, which a reader
    skips; a broker gives all records of a batch one time."""

    at_ms: int
    flag_id: str
    ties: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A flag's id, and the places of the index that hold the flag under this time."""

    flag_id: str
    at_ms: int
    found: frozenset[tuple[Side, Severity]]

    def is_current(self, flag: Flag) -> bool:
        """Whether the flag's state and severity are those of the entry."""
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
class PlaceMembers:
    """The members read from a place, newest first, as (time, flag id). `cut`: there may be more behind the last."""

    place: IndexPlace
    members: Sequence[tuple[int, str]]
    cut: bool = False


def side_of(state: FlagState) -> Side:
    return Side.OVER if state in _OVER else Side.OPEN


def moves_of(event: FlagEvent) -> Moves:
    """Raises KeyError, ValueError or TypeError for a document that no worker wrote."""
    document = event_of(event.document)
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
        puts=tuple(IndexPlace(scope, side, severity) for scope in scopes),
        drops=tuple(IndexPlace(scope, Side.OPEN, each) for scope in scopes for each in dropped),
    )


def places_of(tenant: Scope) -> tuple[IndexPlace, ...]:
    """Every place that may hold an entry of the tenant's flags."""
    scopes: tuple[Scope, ...] = (tenant, ALL_TENANTS) if tenant is not ALL_TENANTS else (ALL_TENANTS,)
    return tuple(IndexPlace(scope, side, each) for scope in scopes for side in Side for each in SEVERITIES)


def listing_of(read: Iterable[PlaceMembers], after: Position | None, most: int) -> Listing:
    """The members read from several places in one order, behind a position; cut where another place's unread members
    may come first."""
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
    """The severity under which a flag is listed: of a flag that is over, its last event's, whose entry is never taken
    away."""
    return Severity(flag.event["severity"]) if flag.state in _OVER else flag.severity


@dataclass(slots=True)
class InMemoryFlagIndex:
    """The flag index in memory, with dictionaries for Redis' sorted sets."""

    entries: dict[IndexPlace, dict[str, int]] = field(default_factory=dict)

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
        read = [
            PlaceMembers(place=place, members=[(at_ms, name) for name, at_ms in each.items()]) for place, each in held
        ]
        return listing_of(read, after, most)
