"""A benchmark's own room on a Redis that others use: how much it takes, and clearing it."""

from __future__ import annotations

from abuse.redis_port import Calls, Reply

SCAN_COUNT = 2000


async def used_memory(calls: Calls) -> int:
    """Of one server."""
    (info,) = await calls.round_trip([("INFO", "memory")])
    text = info.decode() if isinstance(info, bytes) else ""
    return int(next(line for line in text.splitlines() if line.startswith("used_memory:")).partition(":")[2])


async def remove(calls: Calls, prefix: str) -> None:
    """Every key of that prefix."""
    cursor, done = b"0", False
    while not done:
        (page,) = await calls.round_trip([("SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", SCAN_COUNT)])
        cursor, keys = _scanned(page)
        await calls.round_trip([("UNLINK", key) for key in keys])
        done = cursor == b"0"


def _scanned(page: Reply) -> tuple[bytes, list[bytes]]:
    """Where to scan on, and the keys found."""
    match page:
        case [bytes(cursor), list(keys)]:
            return cursor, [key for key in keys if isinstance(key, bytes)]
    raise TypeError("a reply to SCAN is a cursor and keys")
