"""A benchmark's own room on a Redis that others use: a prefix, how much it takes, and that nothing of it stays."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from abuse.redis_port import RedisClient, Reply
from config.errors import Unavailable
from config.settings import RedisSettings
from stream.redis.client import connect, each_server

T = TypeVar("T")
Say = Callable[[str], None]

SCAN_COUNT = 2000
#: What a call of the clearing may take: a busy server is waited for, longer than a worker would.
CALL_S = 20.0


@contextmanager
def room(redis: RedisSettings, say: Say) -> Iterator[str]:
    """A prefix that nobody else uses. Every key of it is removed at the end, also of what failed or was interrupted.

    For callers without an event loop: the clearing runs in one of its own, over connections of its own.
    """
    prefix = f"bench-{uuid.uuid4().hex}:"
    try:
        yield prefix
    finally:
        say("Removing the benchmark's keys.")
        try:
            asyncio.run(_clear(redis, prefix))
        except Unavailable as error:
            say(f"Redis did not answer ({error.fault}): what is left of {prefix}* expires by itself.")


def in_a_room(redis: RedisSettings, say: Say, work: Callable[[RedisClient, str], Awaitable[T]]) -> T:
    """Blocks for what `work` does with a client and the prefix of a room. Raises what it raises."""

    async def connected() -> T:
        calls = connect(redis)
        try:
            return await work(calls, prefix)
        finally:
            await calls.close()

    with room(redis, say) as prefix:
        return asyncio.run(connected())


async def used_memory(calls: RedisClient) -> int:
    """Of one server."""
    (info,) = await calls.execute([("INFO", "memory")])
    text = info.decode() if isinstance(info, bytes) else ""
    return int(next(line for line in text.splitlines() if line.startswith("used_memory:")).partition(":")[2])


async def remove(server: RedisClient, prefix: str) -> None:
    """Every key of that prefix on one server."""
    cursor, done = b"0", False
    while not done:
        (page,) = await server.execute([("SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", SCAN_COUNT)])
        cursor, keys = _scanned(page)
        await server.execute([("UNLINK", key) for key in keys])
        done = cursor == b"0"


async def _clear(redis: RedisSettings, prefix: str) -> None:
    async with each_server(redis.model_copy(update={"call_timeout_s": CALL_S})) as servers:
        for server in servers:
            await remove(server, prefix)


def _scanned(page: Reply) -> tuple[bytes, list[bytes]]:
    """Where to scan on, and the keys found."""
    match page:
        case [bytes(cursor), list(keys)]:
            return cursor, [key for key in keys if isinstance(key, bytes)]
    raise TypeError("a reply to SCAN is a cursor and keys")
