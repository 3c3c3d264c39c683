"""Client of an empty Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from abuse.redis_port import RedisClient
from config.groups.services import RedisSettings
from stream.redis.client import connect


@pytest.fixture
async def calls(empty_redis: str) -> AsyncIterator[RedisClient]:
    opened = connect(RedisSettings(url=empty_redis, call_timeout_s=20))
    yield opened
    await opened.close()
