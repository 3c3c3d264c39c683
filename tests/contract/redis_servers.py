"""The Redis of the contract suites, one a service tier: the embedded server, a real server, a real cluster of three."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import redis.asyncio as redis
from hypothesis import HealthCheck, settings

from abuse.redis_port import Command, RedisClient, Reply
from config.errors import Unavailable
from config.groups.services import RedisSettings
from stream.redis.client import connect

#: The service tiers: params of a fixture, each with the marker that says what the test needs.
REAL = pytest.param("redis", marks=pytest.mark.real)
REDIS = ["embedded", REAL, pytest.param("cluster", marks=pytest.mark.local_services)]
MEMORY = "memory"
#: For property tests: the same examples everywhere, no clock, and the fixtures serve all examples.
PROPERTY = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
#: Keys looked at in one go: the server may be full of others'.
SCANNED = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisServer:
    """A server or cluster, a prefix of the test's own on it, and a plain client to look behind what is tested."""

    url: str
    cluster: bool
    client: redis.Redis | redis.RedisCluster
    prefix: str
    opened: list[RedisClient] = field(default_factory=list)
    _workers: list[RedisClient] = field(default_factory=list)

    def connect(self, call_timeout_s: float = 20, max_connections: int = 32) -> RedisClient:
        """A worker's client, closed after the test."""
        wanted = RedisSettings(url=self.url, call_timeout_s=call_timeout_s, cluster=self.cluster)
        self.opened.append(connect(wanted, max_connections))
        return self.opened[-1]

    def workers(self, count: int = 2) -> list[RedisClient]:
        """A client for each of several workers, the same for every call: property tests ask often."""
        self._workers.extend(self.connect() for _ in range(count - len(self._workers)))
        return self._workers[:count]

    def apart(self) -> RedisServer:
        """The same server with nothing on it, under a prefix below this one."""
        return replace(self, prefix=f"{self.prefix}{uuid.uuid4().hex}:")

    def key(self, name: object) -> str:
        return f"{self.prefix}{name}"

    async def keys(self) -> list[str]:
        """All keys under the prefix, in order."""
        return sorted([key.decode() async for key in self.client.scan_iter(match=f"{self.prefix}*", count=SCANNED)])

    async def expires_ms(self, key: str) -> int:
        """When a key expires, in UTC milliseconds; negative for a key that never expires or doesn't exist."""
        return int(await self.client.pexpiretime(key))


@dataclass(frozen=True, slots=True, kw_only=True)
class PortKind:
    """A port's two implementations. A contract suite names its `PORT`; the fixtures `held` and `on_redis` follow."""

    in_memory: Callable[[], Any]
    on_redis: Callable[[RedisClient, str], Any]

    def held(self, redis: RedisServer | None) -> Held:
        if redis is None:
            memory = self.in_memory()
            return Held(self, memory, memory)
        return Held(self, *(self.on_redis(calls, redis.prefix) for calls in redis.workers()), redis)


@dataclass(frozen=True, slots=True)
class Held:
    """A store, another worker's over the same state, and where there is one, the server."""

    kind: PortKind
    store: Any
    other_worker: Any
    redis: RedisServer | None = None

    def fresh(self) -> Held:
        """An empty store on the same server."""
        return self.kind.held(self.redis and self.redis.apart())


class Relay:
    """A client that hands all on to another."""

    def __init__(self, calls: RedisClient) -> None:
        self._calls = calls

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        return await self._calls.execute(commands)

    async def close(self) -> None:
        await self._calls.close()


class CountedRedis(Relay):
    """A client that remembers the commands of each round trip."""

    def __init__(self, calls: RedisClient) -> None:
        super().__init__(calls)
        self.trips: list[list[Command]] = []

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        if commands:
            self.trips.append(list(commands))
        return await super().execute(commands)


class FaultyRedis(Relay):
    """A client of a cluster of which one node is away for a moment: of the first batch with commands that `fails`
    picks, the others are carried out, and the batch has failed."""

    def __init__(self, calls: RedisClient, fails: Callable[[Command], bool]) -> None:
        super().__init__(calls)
        self._fails, self.failed = fails, False

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        picked = [command for command in commands if self._fails(command)]
        if self.failed or not picked:
            return await self._calls.execute(commands)
        self.failed = True
        await self._calls.execute([command for command in commands if command not in picked])
        raise Unavailable("redis", "ConnectionError")


class ScatteredRedis(Relay):
    """A client of a cluster of as many nodes as there are keys: commands on one key are carried out in order, keys
    whenever their node gets to them."""

    def __init__(self, calls: RedisClient, seed: int) -> None:
        super().__init__(calls)
        self._chance = random.Random(seed)

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        by_key: dict[str, list[int]] = {}
        for number, command in enumerate(commands):
            by_key.setdefault(str(command[1]), []).append(number)
        replies: dict[int, Reply] = {}
        for part in await asyncio.gather(*(self._on_one(commands, numbers) for numbers in by_key.values())):
            replies |= part
        return [replies[number] for number in range(len(commands))]

    async def _on_one(self, commands: Sequence[Command], numbers: Sequence[int]) -> dict[int, Reply]:
        await asyncio.sleep(self._chance.random() / 50)
        told = await self._calls.execute([commands[number] for number in numbers])
        return dict(zip(numbers, told, strict=True))


def scattered(server: RedisServer) -> list[ScatteredRedis]:
    """The clients of two workers, each with delays of its own."""
    return [ScatteredRedis(calls, seed) for seed, calls in enumerate(server.workers())]


@asynccontextmanager
async def server_of(request: pytest.FixtureRequest) -> AsyncIterator[RedisServer]:
    """The server of the tier in the fixture's param, one of `REDIS`. Keys under the prefix are removed at the end."""
    cluster = request.param == "cluster"
    url = _url(request)
    client = (redis.RedisCluster if cluster else redis.Redis).from_url(url)
    server = RedisServer(url=url, cluster=cluster, client=client, prefix=f"contract-{uuid.uuid4().hex}:")
    try:
        yield server
        for some in batched(await server.keys()):
            await client.unlink(*some)
    finally:
        await client.aclose()
        for calls in server.opened:
            await calls.close()


def batched(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """Keys by the thousand: a round trip each would take longer than the test that made them."""
    return (keys[start : start + 1000] for start in range(0, len(keys), 1000))


def _url(request: pytest.FixtureRequest) -> str:
    url: str
    if request.param == "embedded":
        url = request.getfixturevalue("embedded_redis").url
    elif request.param == "cluster":
        url = request.getfixturevalue("redis_cluster").url
    else:
        url = request.getfixturevalue("services").environment["LIVENESS_REDIS__URL"]
    return url
