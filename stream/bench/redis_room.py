"""Key prefix of a benchmark on a Redis in use, with every key removed afterwards."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from abuse.redis_port import RedisClient, Reply
from config.errors import Unavailable
from config.groups.services import RedisSettings
from stream.redis.client import each_server

Say = Callable[[str], None]

SCAN_COUNT = 2000
#: Seconds a call of the clearing may take: a busy server is waited for longer than by a worker.
CALL_S = 20.0


@contextmanager
def room(redis: RedisSettings, say: Say) -> Iterator[str]:
    """Fresh key prefix, whose every key is removed at the end, also after a failure or an interruption.

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


async def remove(server: RedisClient, prefix: str) -> None:
    """Keys of a prefix removed from one server."""
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
    """Cursor to go on from, and the keys found."""
    match page:
        case [bytes(cursor), list(keys)]:
            return cursor, [key for key in keys if isinstance(key, bytes)]
    raise TypeError("a reply to SCAN is a cursor and keys")
