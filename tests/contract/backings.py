"""What the contract suites run on: the embedded store over TCP, a real Redis, a real cluster."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
import redis.asyncio as redis

from abuse.redis_port import Command, RedisClient, Reply
from config.errors import Unavailable
from config.settings import RedisSettings
from stream.embedded.store import EmbeddedStore
from stream.redis.client import connect

#: Params of a fixture, each with the marker that says what the test needs.
REDIS = [
    "embedded",
    pytest.param("redis", marks=pytest.mark.real),
    pytest.param("cluster", marks=pytest.mark.local_services),
]
MEMORY = "memory"
#: Keys looked at in one go: the server may be full of others'.
SCANNED = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """A Redis, a prefix of the test's own on it, and a client to look behind what is tested."""

    url: str
    cluster: bool
    client: redis.Redis | redis.RedisCluster
    prefix: str
    opened: list[RedisClient] = field(default_factory=list)

    def way(self, call_timeout_s: float = 20, max_connections: int = 32) -> RedisClient:
        """A worker's way to it, closed after the test."""
        settings = RedisSettings(url=self.url, call_timeout_s=call_timeout_s, cluster=self.cluster)
        self.opened.append(connect(settings, max_connections))
        return self.opened[-1]

    def ways(self, count: int) -> list[RedisClient]:
        return [self.way() for _ in range(count)]

    def apart(self) -> Backing:
        """The same with nothing in it, under a prefix below this one."""
        return replace(self, prefix=f"{self.prefix}{uuid.uuid4().hex}:")

    def key(self, name: object) -> str:
        return f"{self.prefix}{name}"

    async def keys(self) -> list[bytes]:
        return sorted([key async for key in self.client.scan_iter(match=f"{self.prefix}*", count=SCANNED)])


class FailsOnce:
    """As a cluster of which one node is away for a moment: of the first batch with commands that `fails` picks, the
    others are carried out, and the batch has failed."""

    def __init__(self, calls: RedisClient, fails: Callable[[Command], bool]) -> None:
        self._calls, self._fails = calls, fails
        self.failed = False

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        picked = [command for command in commands if self._fails(command)]
        if self.failed or not picked:
            return await self._calls.execute(commands)
        self.failed = True
        await self._calls.execute([command for command in commands if command not in picked])
        raise Unavailable("redis", "ConnectionError")

    async def close(self) -> None:
        await self._calls.close()


@asynccontextmanager
async def backing_of(request: pytest.FixtureRequest) -> AsyncIterator[Backing]:
    """By the fixture's param, one of `REDIS`. Nothing is left of it on a server that others use too."""
    cluster = request.param == "cluster"
    embedded = EmbeddedStore() if request.param == "embedded" else None
    if embedded is not None:
        url = embedded.url
    elif cluster:
        url = request.getfixturevalue("redis_cluster").url
    else:
        url = request.getfixturevalue("services").environment["LIVENESS_REDIS__URL"]
    client = (redis.RedisCluster if cluster else redis.Redis).from_url(url)
    made = Backing(url=url, cluster=cluster, client=client, prefix=f"contract-{uuid.uuid4().hex}:")
    try:
        yield made
        if embedded is None:
            for key in await made.keys():
                await client.unlink(key)
    finally:
        await client.aclose()
        for calls in made.opened:
            await calls.close()
        if embedded is not None:
            embedded.close()
