"""The index of flags on Redis: a sorted set a place (`abuse.ledger.flag_index`), flag ids by time in milliseconds.

An entry is added with GT, so that a later time stays. To take away an entry that isn't newer than an event, an older
entry is first moved half a millisecond behind the event, where no entry is ever added, and then everything there is
removed: two commands that may be repeated, in any order with others, and never hit a newer entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from abuse.flags.flags import FlagEvent
from abuse.ledger.flag_index import (
    LONGEST_MS,
    IndexPlace,
    Listing,
    Moves,
    PlaceMembers,
    Position,
    Scope,
    Selection,
    listing_of,
    moves_of,
    places_of,
)
from abuse.ledger.redis_ledger_keys import LedgerKeys
from abuse.redis_port import Command, RedisClient, Reply, fields_of, reading

_BEHIND_MS = 0.5
#: How many times more entries are read when those that were passed are more than the position says.
_WIDER = 4


class RedisFlagIndex:
    """The index's part of the ledger: commands to send along with flag events, and reading."""

    def __init__(self, calls: RedisClient, keys: LedgerKeys, life_ms: int) -> None:
        self._calls = calls
        self._keys = keys
        self._life_ms = life_ms

    def writes(self, events: Sequence[FlagEvent]) -> list[Command]:
        """Three commands a place with a new entry, then two or more a place that loses entries: at most 22 for one
        event, usually 6. Raises KeyError, ValueError or TypeError for a document no worker wrote.

        Entries are added before others are taken away, as if levels of one flag had come in their order.
        """
        moves = [moves_of(event) for event in events]
        added: dict[str, dict[str, int]] = {}
        for each in moves:
            for place in each.puts:
                held = added.setdefault(self._keys.flag_index(place), {})
                held[each.flag_id] = max(each.at_ms, held.get(each.flag_id, each.at_ms))
        commands = list[Command]()
        for key, entries in added.items():
            commands += [
                ("ZADD", key, "GT", *(part for name, at_ms in entries.items() for part in (at_ms, name))),
                ("ZREMRANGEBYSCORE", key, "-inf", f"({max(entries.values()) - LONGEST_MS}"),
                ("PEXPIRE", key, self._life_ms),
            ]
        return commands + self._drops((each, place) for each in moves for place in each.drops)

    def corrections(self, offered: FlagEvent, held: FlagEvent) -> list[Command]:
        """Commands for an event whose entry was written although another, `held`, had been stored under its name: the
        entry goes, and that of the stored event stays. Raises as `writes` does."""
        moves = moves_of(offered)
        return self._drops((moves, place) for place in moves.puts) + self.writes([held])

    def _drops(self, gone: Iterable[tuple[Moves, IndexPlace]]) -> list[Command]:
        """Commands that take away entries, one flag's after the other's where their times differ."""
        dropped: dict[tuple[str, float], dict[str, None]] = {}
        for moves, place in gone:
            dropped.setdefault((self._keys.flag_index(place), moves.at_ms + _BEHIND_MS), {})[moves.flag_id] = None
        commands = list[Command]()
        for (key, behind), names in dropped.items():
            pairs = (part for name in names for part in (behind, name))
            commands += [("ZADD", key, "XX", "GT", *pairs), ("ZREMRANGEBYSCORE", key, behind, behind)]
        return commands

    async def listed(self, selection: Selection, after: Position | None, most: int) -> Listing:
        """The entries of a selection behind `after` (`Ledger.listed`). One round trip, and another only where entries
        of the very time of `after` were added since."""
        count = most + (0 if after is None else after.ties)
        while True:
            listing = listing_of(await self._read(selection.places, after, count), after, most)
            if listing.entries or not listing.more:
                return listing
            count *= _WIDER

    async def _read(self, places: Sequence[IndexPlace], after: Position | None, count: int) -> list[PlaceMembers]:
        newest = "+inf" if after is None else after.at_ms
        keys = [self._keys.flag_index(place) for place in places]
        page = ("BYSCORE", "REV", "LIMIT", 0, count, "WITHSCORES")
        replies = await self._calls.execute([("ZRANGE", key, newest, "-inf", *page) for key in keys])
        read = []
        for place, key, reply in zip(places, keys, replies, strict=True):
            members = _members(key, reply)
            read.append(PlaceMembers(place=place, members=members, cut=len(members) == count))
        return read


def removals(keys: LedgerKeys, tenant: Scope, flag_ids: Sequence[str]) -> list[Command]:
    """Commands that remove all entries of a tenant's flags; `ALL_TENANTS` for an unknown tenant, of whose flags only
    the entries in the index over all tenants are removed."""
    return [("ZREM", keys.flag_index(place), *flag_ids) for place in places_of(tenant)] if flag_ids else []


def _members(key: str, reply: Reply) -> list[tuple[int, str]]:
    """Raises ForeignValue."""
    with reading(key):
        return [(int(float(at)), name) for name, at in fields_of(reply).items()]
