"""The link store on Redis: a hash per correlation id, from the pair of submissions (`field_of`) to the link's line.

links:{TENANT|CORRELATION ID}

Lines that are too many or too old are noticed when one is added, and removed in a round trip of their own. If that
fails, the next write removes them, and reads leave them out until then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from abuse.links.link_store import Held, field_of, retained
from abuse.links.links import Link, is_about, line_of, links_from, links_life_ms
from abuse.redis_port import Command, RedisClient, fields_of, reading
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

    async def of(self, tenant: str | None, correlation_ids: Sequence[str]) -> Held:
        keys = [self._key(tenant, name) for name in correlation_ids]
        read = await self._read(keys)
        return {name: self._links(key, read[key]) for name, key in zip(correlation_ids, keys, strict=True)}

    async def write(self, tenant: str | None, links: Sequence[Link]) -> Held:
        keys = {name: self._key(tenant, name) for each in links for name in each.ids}
        adding: list[Command] = []
        for each in links:
            field, line = field_of(each), line_of(each)
            adding += [("HSETNX", keys[name], field, line) for name in dict.fromkeys(each.ids)]
        lives: list[Command] = [("PEXPIRE", key, self._ttl_ms) for key in keys.values()]
        # Each key is read behind what is written to it: of two writers the later one reads both their links.
        replies = await self._calls.execute([*adding, *lives, *(("HGETALL", key) for key in keys.values())])
        read, gone = {}, {}
        for key, reply in zip(keys.values(), replies[len(replies) - len(keys) :], strict=True):
            with reading(key):
                read[key] = fields_of(reply)
                gone[key] = sorted(read[key].keys() - retained(read[key], self._ttl_ms))
        await self._remove(gone)
        return {name: self._links(key, read[key]) for name, key in keys.items()}

    async def forget(self, tenant: str | None, correlation_id: str, others: Sequence[str]) -> int:
        own = self._key(tenant, correlation_id)
        read = await self._read([own, *(self._key(tenant, name) for name in others)])
        shared = {key: _about(key, lines, correlation_id) for key, lines in read.items()}
        # On a cluster the parts of one round trip come in no order: the index to the others' entries goes last.
        await self._remove({key: fields for key, fields in shared.items() if key != own})
        await self._remove({own: shared[own]})
        return len({field for fields in shared.values() for field in fields})

    async def _read(self, keys: Sequence[str]) -> dict[str, dict[str, str]]:
        """The lines of each key, by field."""
        distinct = list(dict.fromkeys(keys))
        replies = await self._calls.execute([("HGETALL", key) for key in distinct])
        lines = {}
        for key, reply in zip(distinct, replies, strict=True):
            with reading(key):
                lines[key] = fields_of(reply)
        return lines

    async def _remove(self, fields: Mapping[str, Sequence[str]]) -> None:
        await self._calls.execute([("HDEL", key, *each) for key, each in fields.items() if each])

    def _links(self, key: str, lines: Mapping[str, str]) -> tuple[Link, ...]:
        with reading(key):
            kept = retained(lines, self._ttl_ms)
            return links_from(line for field, line in lines.items() if field in kept)

    def _key(self, tenant: str | None, correlation_id: str) -> str:
        return f"{self._prefix}links:{{{tenant or ''}|{correlation_id}}}"


def _about(key: str, lines: Mapping[str, str], correlation_id: str) -> list[str]:
    """The fields of lines that name the correlation id."""
    with reading(key):
        return [field for field, line in lines.items() if is_about(line, correlation_id)]
