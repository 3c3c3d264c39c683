"""An older copy of Redis' content under running workers: it has the same marker, and counts as lost all the same."""

from __future__ import annotations

import pytest
import redis

from abuse.store_time import StillTime
from config.errors import Unavailable
from stream.redis.marker import OLDER_MS, Marker, MarkerGuard, Origin, look_key
from tests.unit.stream.redis.test_installation import KEYS, Member, get, is_refused, member

__all__ = ["member"]  # a fixture


async def put_back_after(member, url: str, later_ms: int) -> Member:
    """A worker whose Redis has the content again that it had so much earlier."""
    worker = member(new=True)
    await worker.watch.look()
    with redis.Redis.from_url(url) as client:
        older = {key: client.dump(key) for key in client.scan_iter()}
        assert client.zincrby(look_key(KEYS[0]), later_ms, "last") > 0
        await get(worker)()
        client.flushall()
        for key, value in older.items():
            client.restore(key, 0, value)
    return worker


async def test_older_copy_counts_as_lost(member, empty_redis):
    worker = await put_back_after(member, empty_redis, 2 * OLDER_MS)
    await is_refused(get(worker))
    await is_refused(worker.watch.look)
    await is_refused(member().watch.look)
    assert worker.watch.troubles()
    await worker.rebuilt()
    await worker.watch.look()
    assert await get(worker)() == [None]
    assert worker.watch.troubles() == ()


@pytest.mark.parametrize("later_ms", [0, OLDER_MS // 2])
async def test_failover_may_lose_seconds(member, empty_redis, later_ms):
    worker = await put_back_after(member, empty_redis, later_ms)
    assert await get(worker)() == [None]
    await worker.watch.look()


async def test_sleeper_writes_no_older_look(member, empty_redis):
    """A worker that slept between its clock and its write."""
    worker = member(new=True)
    await worker.watch.look()
    sleeper = member()
    sleeper.watch._time = StillTime(1)
    await sleeper.watch.look()
    assert await get(worker)() == [None]


def test_same_bytes_after_a_later_look():
    """Bytes that were read last are taken at once, until the worker's own look has seen a later time."""
    guard, marker = MarkerGuard(KEYS), Marker.made(Origin.NEW, 1)
    guard.find(marker, {})
    read = (KEYS[0], str(marker).encode(), [b"last", b"1000"])
    guard.require(*read)
    guard.require(*read)
    guard.find(marker, {KEYS[0]: 1000 + 2 * OLDER_MS})
    with pytest.raises(Unavailable):
        guard.require(*read)
