"""Contract of the check values of hash keys: in memory, on the embedded Redis, a real server, a real cluster.

The first secret under a key id counts, and a process that only reads stores nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from abuse.keys.key_checks import InMemoryKeyChecks, KeyChecks, agree, require_same
from abuse.keys.key_periods import HashKey
from abuse.keys.redis_key_checks import CHECK_TTL_S, RedisKeyChecks
from config.errors import SettingsError
from tests.contract.redis_servers import RedisServer

FIRST = HashKey(id="k1", secret=b"1" * 32)
SECOND = HashKey(id="k2", secret=b"2" * 32, since_ms=5)
WRONG = HashKey(id="k2", secret=b"another-secret-under-the-same-id", since_ms=5)


@dataclass(frozen=True, slots=True)
class Held:
    one: KeyChecks
    other: KeyChecks


@pytest.fixture
def held(any_redis: RedisServer | None) -> Held:
    if any_redis is None:
        checks = InMemoryKeyChecks()
        return Held(checks, checks)
    return Held(*(RedisKeyChecks(calls, any_redis.prefix) for calls in any_redis.workers(2)))


async def test_same_secrets_agree(held):
    await agree(held.one, [FIRST])
    await agree(held.other, [SECOND, FIRST])
    await agree(held.one, [SECOND])
    await require_same(held.other, [FIRST, SECOND])
    await agree(held.one, [])


async def test_another_secret_is_refused(held):
    await agree(held.one, [FIRST, SECOND])
    for refuse in (agree, require_same):
        with pytest.raises(SettingsError) as refused:
            await refuse(held.other, [FIRST, WRONG])
        words = str(refused.value)
        wanted = ("LIVENESS_ABUSE__HASH_KEYS", "key k2", held.one.location("k2"), WRONG.secret.decode())
        assert [each in words for each in wanted] == [True, True, True, False]
    await agree(held.one, [FIRST, SECOND])


async def test_reading_stores_nothing(held):
    await require_same(held.one, [WRONG])
    await agree(held.other, [SECOND])
    with pytest.raises(SettingsError):
        await require_same(held.one, [WRONG])


async def test_simultaneous_secrets_conflict(held):
    results = await asyncio.gather(agree(held.one, [SECOND]), agree(held.other, [WRONG]), return_exceptions=True)
    assert sorted(type(each) for each in results if each is not None) == [SettingsError]


@pytest.fixture
def on_redis(redis_server: RedisServer) -> tuple[KeyChecks, RedisServer]:
    return RedisKeyChecks(redis_server.connect(), redis_server.prefix), redis_server


async def test_agreeing_renews_the_value(on_redis):
    """A value that is deleted admits another secret."""
    checks, redis_server = on_redis
    await agree(checks, [SECOND])
    key = checks.location("k2")
    await redis_server.client.expire(key, 60)
    await require_same(checks, [SECOND])
    assert await redis_server.client.ttl(key) <= 60
    await agree(checks, [SECOND])
    assert CHECK_TTL_S - 60 < await redis_server.client.ttl(key) <= CHECK_TTL_S
    await redis_server.client.delete(key)
    await agree(checks, [WRONG])
    with pytest.raises(SettingsError):
        await agree(checks, [SECOND])


async def test_stored_values_reveal_no_secret(on_redis):
    checks, redis_server = on_redis
    await agree(checks, [FIRST, SECOND])
    values = [await redis_server.client.get(key) for key in await redis_server.keys()]
    assert [len(value) for value in values] == [16, 16]
    assert values[0] != values[1]
