"""The book of links on Redis: a hash of lines with each correlation id, by the pair they join (`place_of`).

links:{TENANT|CORRELATION ID}

Lines that are too many or too old are seen when one is added, and go in a round trip of their own: cut short, the next
link that is added removes them, and who reads leaves them out until then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from abuse.links.link_store import Held, place_of, standing
from abuse.links.links import Link, is_about, line_of, links_from
from abuse.redis_port import Command, ForeignValue, RedisClient, Reply

#: What reading raises for values that are none of ours.
_FOREIGN = (ValueError, TypeError, KeyError)


class RedisLinkStore:
    """`ttl_ms`: how long after its last link a correlation id's are kept, and how much older than that one any is."""

    def __init__(self, calls: RedisClient, key_prefix: str, ttl_ms: int) -> None:
        self._calls = calls
        self._prefix = f"{key_prefix}abuse:"
        self._ttl_ms = ttl_ms

    async def of(self, tenant: str | None, correlation_ids: Sequence[str]) -> Held:
        keys = [self._key(tenant, name) for name in correlation_ids]
        read = await self._read(keys)
        return {name: self._links(key, read[key]) for name, key in zip(correlation_ids, keys, strict=True)}

    async def write(self, tenant: str | None, links: Sequence[Link]) -> None:
        lines: dict[str, list[Command]] = {}
        for each in links:
            for name in dict.fromkeys(each.ids):
                key = self._key(tenant, name)
                lines.setdefault(key, []).append(("HSETNX", key, place_of(each), line_of(each)))
        commands = [command for added in lines.values() for command in added]
        lives: list[Command] = [("PEXPIRE", key, self._ttl_ms) for key in lines]
        replies = await self._calls.execute([*commands, *lives, *(("HKEYS", key) for key in lines)])
        places = {key: _texts(reply) for key, reply in zip(lines, replies[len(replies) - len(lines) :], strict=True)}
        await self._remove({key: sorted({*held} - self._standing(key, held)) for key, held in places.items()})

    async def forget(self, tenant: str | None, correlation_id: str, others: Sequence[str]) -> int:
        own = self._key(tenant, correlation_id)
        read = await self._read([own, *(self._key(tenant, name) for name in others)])
        gone = {key: _about(key, lines, correlation_id) for key, lines in read.items()}
        # On a cluster the parts of one round trip come in no order: what leads to the others goes in the next.
        await self._remove({key: places for key, places in gone.items() if key != own})
        await self._remove({own: gone[own]})
        return len({place for places in gone.values() for place in places})

    async def _read(self, keys: Sequence[str]) -> dict[str, dict[str, str]]:
        """The lines of each key, by place."""
        distinct = list(dict.fromkeys(keys))
        replies = await self._calls.execute([("HGETALL", key) for key in distinct])
        return {key: _lines(reply) for key, reply in zip(distinct, replies, strict=True)}

    async def _remove(self, places: Mapping[str, Sequence[str]]) -> None:
        await self._calls.execute([("HDEL", key, *each) for key, each in places.items() if each])

    def _links(self, key: str, lines: Mapping[str, str]) -> tuple[Link, ...]:
        kept = self._standing(key, lines)
        try:
            return links_from(line for place, line in lines.items() if place in kept)
        except _FOREIGN as error:
            raise ForeignValue(key) from error

    def _standing(self, key: str, places: Sequence[str] | Mapping[str, str]) -> set[str]:
        try:
            return standing(places, self._ttl_ms)
        except ValueError as error:
            raise ForeignValue(key) from error

    def _key(self, tenant: str | None, correlation_id: str) -> str:
        return f"{self._prefix}links:{{{tenant or ''}|{correlation_id}}}"


def _texts(reply: Reply) -> list[str]:
    return [cast(bytes, each).decode(errors="replace") for each in cast("list[Reply]", reply)]


def _lines(reply: Reply) -> dict[str, str]:
    flat = _texts(reply)
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _about(key: str, lines: Mapping[str, str], correlation_id: str) -> list[str]:
    """The places of lines that name the correlation id."""
    try:
        return [place for place, line in lines.items() if is_about(line, correlation_id)]
    except _FOREIGN as error:
        raise ForeignValue(key) from error
