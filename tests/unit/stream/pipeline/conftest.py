"""Pipelines over fakes that many tests of the stages begin with."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from config.groups.services import RedisSettings
from stream.redis.node import connection_options
from tests.unit.stream.fakes import Pipeline
from tests.unit.stream.pipeline.abuse_cases import attacked, five_failures
from tests.unit.stream.pipeline.trip_cases import WatchedNode


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline()


@pytest.fixture
def spoofing() -> Pipeline:
    """Pipeline whose every analysis is SPOOF."""
    return attacked()


@pytest.fixture
async def paused(spoofing: Pipeline) -> Pipeline:
    """Pipeline after five failures of one correlation id, the fifth at 4 s."""
    await five_failures(spoofing)
    return spoofing


@pytest.fixture
async def node(empty_redis: str) -> AsyncIterator[WatchedNode]:
    watched = WatchedNode(connection_options(RedisSettings(url=empty_redis)))
    yield watched
    await watched.close()
