"""What contract tests of Redis adapters run on: the embedded store over TCP, a real server, a real cluster."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import redis.asyncio as redis

from abuse.redis_port import Command, RedisClient, Reply
from config.settings import RedisSettings
from stream.embedded.store import EmbeddedStore
from stream.redis.client import connect

REAL = pytest.param("redis", marks=pytest.mark.real)
CLUSTER = pytest.param("cluster", marks=pytest.mark.local_services)
SERVERS = ["embedded", REAL, CLUSTER]
#: Keys looked at in one go: the server may be full of others'.
SCANNED = 20_000


@dataclass(frozen=True, slots=True)
class Beneath:
    """Clients of several workers on one server, and a plain one to look with."""

    ways: Sequence[RedisClient]
    client: Any
    prefix: str
    kind: str

    async def keys(self) -> list[str]:
        return sorted([key.decode() async for key in self.client.scan_iter(match=f"{self.prefix}*", count=SCANNED)])

    def scattered(self) -> list[Scattered]:
        """The clients, each over more nodes than there are."""
        return [Scattered(calls, random.Random(number)) for number, calls in enumerate(self.ways)]


class Scattered:
    """As on a cluster of as many nodes as there are keys: what is on one key is carried out in order, keys whenever
    their node gets to it."""

    def __init__(self, calls: RedisClient, chance: random.Random) -> None:
        self._calls, self._chance = calls, chance

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        by_key: dict[str, list[int]] = {}
        for number, command in enumerate(commands):
            by_key.setdefault(str(command[1]), []).append(number)
        replies: dict[int, Reply] = {}
        for part in await asyncio.gather(*(self._on_one(commands, numbers) for numbers in by_key.values())):
            replies |= part
        return [replies[number] for number in range(len(commands))]

    async def close(self) -> None:
        await self._calls.close()

    async def _on_one(self, commands: Sequence[Command], numbers: Sequence[int]) -> dict[int, Reply]:
        await asyncio.sleep(self._chance.random() / 50)
        told = await self._calls.execute([commands[number] for number in numbers])
        return dict(zip(numbers, told, strict=True))


@asynccontextmanager
async def over_redis(request: pytest.FixtureRequest, workers: int = 2) -> AsyncIterator[Beneath]:
    """By the fixture's parameter, one of `SERVERS`. What is written under the prefix is removed at the end."""
    embedded = EmbeddedStore() if request.param == "embedded" else None
    cluster = request.param == "cluster"
    if embedded is not None:
        url = embedded.url
    elif cluster:
        url = request.getfixturevalue("redis_cluster").url
    else:
        url = request.getfixturevalue("services").environment["LIVENESS_REDIS__URL"]
    ways = [connect(RedisSettings(url=url, call_timeout_s=20, cluster=cluster)) for _ in range(workers)]
    client = (redis.RedisCluster if cluster else redis.Redis).from_url(url)
    beneath = Beneath(ways, client, f"contract-{uuid.uuid4().hex}:", request.param)
    yield beneath
    if embedded is None:
        for key in await beneath.keys():
            await client.unlink(key)
    await client.aclose()
    for calls in ways:
        await calls.close()
    if embedded is not None:
        embedded.close()
