"""The link store on Redis: a hash per correlation id, from the pair of submissions (`field_of`) to the link's line.

links:{TENANT|CORRELATION ID}

Lines that are too many or too old are noticed when one is added, and removed in a round trip of their own. If that
fails, the next write removes them, and reads leave them out until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import cast

from abuse.links.link_memory import LinkMemory, LinkTable
from abuse.links.link_store import TIME_DIGITS, Held, field_of, retained
from abuse.links.links import LINKS_KEPT, Link, line_of, link_from, links_life_ms
from abuse.redis_port import Command, RedisClient, Reply, reading
from abuse.store_record import RebuiltFrom, StoreRecord

RECORDS = (
    StoreRecord(
        name="abuse:links",
        holds="pairs of submissions with one face or picture",
        life_ms=lambda settings, policy: links_life_ms(policy),
        after="the last link",
        rebuilt_from=(RebuiltFrom.DECISIONS,),
    ),
)


class RedisLinkStore:
    """`ttl_ms`: retention of a correlation id's links after its last, and their greatest age before the last."""

    def __init__(self, calls: RedisClient, key_prefix: str, ttl_ms: int) -> None:
        self._calls = calls
        self._prefix = f"{key_prefix}abuse:"
        self._ttl_ms = ttl_ms
        self._memory = LinkMemory()

    async def of(self, tenant: str | None, correlation_ids: Sequence[str]) -> Held:
        keys = {name: self._key(tenant, name) for name in correlation_ids}
        known = self._known(keys.values())
        tables = await self._tables(known, await self._calls.execute(_reads(known)))
        return {name: self._retained(key, tables[key])[0] for name, key in keys.items()}

    async def write(self, tenant: str | None, links: Sequence[Link]) -> Held:
        keys = {name: self._key(tenant, name) for each in links for name in each.ids}
        known = self._known(keys.values())
        lines = [(each, field_of(each).encode(), line_of(each)) for each in links]
        offers = [(keys[name], field, line) for each, field, line in lines for name in dict.fromkeys(each.ids)]
        adding: list[Command] = [("HSETNX", *offer) for offer in offers]
        lives: list[Command] = [("PEXPIRE", key, self._ttl_ms) for key in known]
        # Each key is read behind what is written to it: of two writers the later one reads both their links.
        replies = await self._calls.execute([*adding, *lives, *_reads(known)])
        for (key, field, line), was_new in zip(offers, replies, strict=False):
            if was_new and (table := known[key]) is not None:
                table[field] = link_from(line)
        tables = await self._tables(known, replies[len(adding) + len(lives) :])
        kept = {name: self._retained(key, tables[key]) for name, key in keys.items()}
        await self._remove({keys[name]: gone for name, (_, gone) in kept.items()})
        return {name: held for name, (held, _) in kept.items()}

    async def forget(self, tenant: str | None, correlation_id: str, others: Sequence[str]) -> int:
        own = self._key(tenant, correlation_id)
        keys = dict.fromkeys([own, *(self._key(tenant, name) for name in others)])
        for key in keys:
            self._memory.drop(key)
        tables = await self._tables(keys, await self._calls.execute(_reads(keys)))
        shared = {
            key: [field for field, each in table.items() if correlation_id in each.ids] for key, table in tables.items()
        }
        for key in keys:
            self._memory.drop(key)
        # On a cluster the parts of one round trip come in no order: the index to the others' entries goes last.
        await self._remove({key: fields for key, fields in shared.items() if key != own})
        await self._remove({own: shared[own]})
        return len({field for fields in shared.values() for field in fields})

    def _known(self, keys: Iterable[str]) -> dict[str, LinkTable | None]:
        """The remembered links of each key; None for a key of which nothing is remembered."""
        return {key: self._memory.get(key) for key in keys}

    async def _tables(self, known: Mapping[str, LinkTable | None], replies: Sequence[Reply]) -> dict[str, LinkTable]:
        """The links of each key, all that the store holds. One round trip where there are links of a remembered key
        that this worker hasn't read."""
        tables, unread = dict[str, LinkTable](), dict[str, list[bytes]]()
        for (key, table), reply in zip(known.items(), replies, strict=True):
            fields = cast("list[bytes]", reply)
            if table is None:
                tables[key] = _read(key, fields[::2], fields[1::2])
                continue
            held = {*fields}
            tables[key] = {field: each for field, each in table.items() if field in held}
            if len(tables[key]) < len(held):
                unread[key] = [field for field in fields if field not in table]
        asked: list[Command] = [("HGET", key, field) for key, fields in unread.items() for field in fields]
        lines = iter(cast("list[bytes | None]", await self._calls.execute(asked)))
        for key, fields in unread.items():
            tables[key] |= _read(key, fields, [next(lines) for _ in fields])
        for key, table in tables.items():
            if table:
                self._memory.put(key, table)
        return tables

    def _retained(self, key: str, table: LinkTable) -> tuple[tuple[Link, ...], list[bytes]]:
        """The links that count, in order, and the fields of the others."""
        links = sorted(table.values(), key=attrgetter("order"))
        if len(links) <= LINKS_KEPT and (not links or links[0].later.at_ms >= links[-1].later.at_ms - self._ttl_ms):
            return tuple(links), []
        kept = retained((field.decode() for field in table), self._ttl_ms)
        gone = sorted(field for field in table if field.decode() not in kept)
        return tuple(each for each in links if field_of(each) in kept), gone

    async def _remove(self, fields: Mapping[str, Sequence[bytes]]) -> None:
        await self._calls.execute([("HDEL", key, *each) for key, each in fields.items() if each])

    def _key(self, tenant: str | None, correlation_id: str) -> str:
        return f"{self._prefix}links:{{{tenant or ''}|{correlation_id}}}"


def _reads(known: Mapping[str, LinkTable | None]) -> list[Command]:
    """Commands that read fields and lines; of a remembered key, fields alone."""
    return [("HGETALL" if table is None else "HKEYS", key) for key, table in known.items()]


def _read(key: str, fields: Sequence[bytes], lines: Sequence[bytes | None]) -> LinkTable:
    """The links of these lines; without those that went meanwhile. Raises ForeignValue."""
    table: LinkTable = {}
    with reading(key):
        for field, line in zip(fields, lines, strict=True):
            int(field[:TIME_DIGITS])  # fields begin with a time
            if line is not None:
                table[field] = link_from(line.decode())
    return table
