"""Sizes, room and used memory, as shared by the measurements of stores that grow on Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import typer

from abuse.redis_port import Command, RedisClient, Reply
from config import settings as configuration
from config.errors import SettingsError
from config.settings import Settings
from stream.bench.measurement import percentile
from stream.bench.redis_room import room
from stream.cli.console import say
from stream.redis.client import connect

#: Figures of one size by name, as they are printed in JSON. `..._p50_ms` is a median, `..._p99_ms` a percentile.
Row = dict[str, Any]


class Growing(Protocol):
    """Store that is filled further and measured at each size."""

    async def fill(self, size: int) -> Row: ...

    async def measure(self) -> Row: ...


class CountedCalls:
    """Redis client that counts round trips, commands and the lines of their replies."""

    def __init__(self, calls: RedisClient) -> None:
        self._calls = calls
        self.trips = self.commands = self.lines = 0

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        replies = await self._calls.execute(commands)
        self.trips += bool(commands)
        self.commands += len(commands)
        self.lines += sum(len(reply) for reply in replies if isinstance(reply, list))
        return replies

    async def close(self) -> None:
        await self._calls.close()


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


def measured(
    settings: Settings, sizes: Sequence[int], things: str, store: Callable[[CountedCalls, str], Growing]
) -> list[Row]:
    """Rows of a store of its own at each size, ascending, with the bytes that each of the `things` takes. Blocks.
    Raises `config.errors.Unavailable`, and what the store does."""

    async def each_size() -> list[Row]:
        calls, rows = CountedCalls(connect(settings.redis)), list[Row]()
        try:
            growing, before = store(calls, prefix), await used_memory(calls)
            for size in sizes:
                say(f"Filling to {size:,} {things}.")
                filled = await growing.fill(size)
                used = await used_memory(calls) - before
                say("Measuring.")
                figures = {**filled, **await growing.measure()}
                rows.append({things: size, **figures, f"bytes_per_{things[:-1]}": used // size})
        finally:
            await calls.close()
        return rows

    with room(settings.redis, say) as prefix:
        return asyncio.run(each_size())


def show(document: Row) -> None:
    print(json.dumps(document, indent=1))


def percentiles(name: str, seconds: Sequence[float]) -> Row:
    """Median and 99th percentile of latencies, under the names of a row; 0 without any."""
    return {f"{name}_p{percent}_ms": (percentile(seconds, percent) or 0) * 1000 for percent in (50, 99)}


async def used_memory(calls: RedisClient) -> int:
    """Bytes in use on one server."""
    (info,) = await calls.execute([("INFO", "memory")])
    text = info.decode() if isinstance(info, bytes) else ""
    return int(next(line for line in text.splitlines() if line.startswith("used_memory:")).partition(":")[2])
