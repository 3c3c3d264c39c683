"""A content of Redis is told from the next one, with a marker and without; no worker goes on by what tells it."""

from __future__ import annotations

import pytest

from stream.maintenance.one_content import OneContent
from stream.redis.installation import mark_rebuilt
from stream.redis.marker import Marker, marker_keys
from tests.embedded_redis import flush
from tests.instants import NOW_MS

KEYS = marker_keys("content:", cluster=False)


@pytest.mark.parametrize("marked", [False, True])
async def test_emptied(calls, empty_redis, marked):
    if marked:
        await mark_rebuilt(calls, KEYS, NOW_MS)
    content = OneContent(calls, KEYS)
    told = await content.told()
    assert await content.told() == told
    flush(empty_redis)
    assert await content.told() != told


async def test_marker_stays(calls):
    await mark_rebuilt(calls, KEYS, NOW_MS)
    asked = [("GET", key) for key in KEYS]
    before = await calls.execute(asked)
    assert list(await OneContent(calls, KEYS).told()) == before == await calls.execute(asked)


async def test_nothing_that_a_worker_goes_on_with(calls):
    assert [Marker.read(each) for each in await OneContent(calls, KEYS).told()] == [None]
