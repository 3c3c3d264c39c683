"""The book of links on Redis: a sorted set of lines with each correlation id, the newest kept.

links:{TENANT|CORRELATION ID}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from abuse.link_book import Held
from abuse.links import LINKS_KEPT, Link, is_about, line_of, links_from
from abuse.redis_port import Calls, Command, ForeignValue, Reply


class RedisLinkBook:
    """`ttl_ms`: how long after its last link a correlation id's are kept."""

    def __init__(self, calls: Calls, key_prefix: str, ttl_ms: int) -> None:
        self._calls = calls
        self._prefix = f"{key_prefix}abuse:"
        self._ttl_ms = ttl_ms

    async def of(self, tenant: str | None, correlation_ids: Sequence[str]) -> Held:
        keys = [self._key(tenant, name) for name in correlation_ids]
        replies = await self._calls.round_trip([("ZRANGE", key, 0, -1) for key in keys])
        return {name: _links(key, read) for name, key, read in zip(correlation_ids, keys, replies, strict=True)}

    async def write(self, tenant: str | None, links: Sequence[Link]) -> None:
        commands: list[Command] = []
        for each in links:
            for key in dict.fromkeys(self._key(tenant, name) for name in each.ids):
                commands += [
                    ("ZADD", key, each.later.at_ms, line_of(each)),
                    ("ZREMRANGEBYRANK", key, 0, -LINKS_KEPT - 1),
                    ("PEXPIRE", key, self._ttl_ms),
                ]
        if commands:
            await self._calls.round_trip(commands)

    async def forget(self, tenant: str | None, correlation_id: str, others: Sequence[str]) -> int:
        """What leads to the others goes last."""
        names = list(dict.fromkeys((*others, correlation_id)))
        keys = [self._key(tenant, name) for name in names]
        replies = await self._calls.round_trip([("ZRANGE", key, 0, -1) for key in keys])
        kept = [_about(key, read, correlation_id) for key, read in zip(keys, replies, strict=True)]
        removals: list[Command] = [("ZREM", key, *lines) for key, lines in zip(keys, kept, strict=True) if lines]
        if removals:
            await self._calls.round_trip(removals)
        return len({line for lines in kept for line in lines})

    def _key(self, tenant: str | None, correlation_id: str) -> str:
        return f"{self._prefix}links:{{{tenant or ''}|{correlation_id}}}"


def _about(key: str, read: Reply, correlation_id: str) -> list[bytes]:
    """The lines that name the correlation id."""
    try:
        return [line for line in cast("list[bytes]", read) if is_about(line.decode(), correlation_id)]
    except (ValueError, TypeError, KeyError) as error:
        raise ForeignValue(key) from error


def _links(key: str, read: Reply) -> tuple[Link, ...]:
    try:
        return links_from(cast(bytes, line).decode() for line in cast("list[Reply]", read))
    except (ValueError, TypeError, KeyError) as error:
        raise ForeignValue(key) from error
