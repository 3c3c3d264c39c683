"""The fixtures of every contract suite: a suite says what it puts on a server, and what stands for it in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.redis_servers import MEMORY, REAL, REDIS, Held, PortKind, RedisServer, server_of


@pytest.fixture(params=REDIS)
async def redis_server(request: pytest.FixtureRequest) -> AsyncIterator[RedisServer]:
    async with server_of(request) as server:
        yield server


@pytest.fixture(params=[REAL])
async def real_redis(request: pytest.FixtureRequest) -> AsyncIterator[RedisServer]:
    """For suites that take too long to run on every tier."""
    async with server_of(request) as server:
        yield server


@pytest.fixture(params=[MEMORY, *REDIS])
async def any_redis(request: pytest.FixtureRequest) -> AsyncIterator[RedisServer | None]:
    """A server of the tier, or None where the suite is to use its implementation in memory."""
    if request.param == MEMORY:
        yield None
        return
    async with server_of(request) as server:
        yield server


@pytest.fixture
def held(request: pytest.FixtureRequest, any_redis: RedisServer | None) -> Held:
    kind: PortKind = request.module.PORT
    return kind.held(any_redis)


@pytest.fixture
def on_redis(request: pytest.FixtureRequest, redis_server: RedisServer) -> Held:
    kind: PortKind = request.module.PORT
    return kind.held(redis_server)
