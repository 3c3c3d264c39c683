"""Sizes, room and used memory, as shared by the measurements of stores that grow on Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import typer

from abuse.redis_port import RedisClient
from config import settings as configuration
from config.errors import SettingsError
from config.settings import RedisSettings, Settings
from stream.bench.redis_room import Say, room
from stream.redis.client import connect

T = TypeVar("T")


def one_server() -> Settings:
    """The configured settings. Raises SettingsError for a cluster: memory and times are those of one server."""
    settings = configuration.load()
    if settings.redis.cluster:
        raise SettingsError("redis.cluster: only one server is measured")
    return settings


def sizes(text: str, option: str) -> list[int]:
    """Comma-separated numbers, ascending; raises BadParameter that names the option."""
    parts = [part.strip().replace("_", "") for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise typer.BadParameter("expected numbers, comma-separated", param_hint=option)
    return sorted(int(part) for part in parts)


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
