"""One suite for check values of hash keys: in memory, on the embedded Redis, a real one and a real
cluster. What it must hold to: the first secret under a key id counts, and who only looks leaves nothing."""

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
    one, other = (RedisKeyChecks(calls, any_redis.prefix) for calls in any_redis.workers(2))
    return Held(one, other)


async def test_the_same_secrets_agree_in_any_number_and_order(held):
    await agree(held.one, [FIRST])
    await agree(held.other, [SECOND, FIRST])
    await agree(held.one, [SECOND])
    await require_same(held.other, [FIRST, SECOND])
    await agree(held.one, [])


async def test_another_secret_under_an_id_in_use_is_refused_and_changes_nothing(held):
    await agree(held.one, [FIRST, SECOND])
    for refuse in (agree, require_same):
        with pytest.raises(SettingsError) as refused:
            await refuse(held.other, [FIRST, WRONG])
        words = str(refused.value)
        assert "LIVENESS_ABUSE__HASH_KEYS" in words
        assert "key k2" in words
        assert held.one.location("k2") in words
        assert WRONG.secret.decode() not in words
    await agree(held.one, [FIRST, SECOND])


async def test_who_only_looks_leaves_nothing(held):
    await require_same(held.one, [WRONG])
    await agree(held.other, [SECOND])
    with pytest.raises(SettingsError):
        await require_same(held.one, [WRONG])


async def test_of_two_at_once_one_is_refused(held):
    told = await asyncio.gather(agree(held.one, [SECOND]), agree(held.other, [WRONG]), return_exceptions=True)
    assert sorted(type(each) for each in told if each is not None) == [SettingsError]


@pytest.fixture
def on_redis(redis_server: RedisServer) -> tuple[KeyChecks, RedisServer]:
    return RedisKeyChecks(redis_server.connect(), redis_server.prefix), redis_server


async def test_a_value_is_renewed_by_whoever_agrees_and_not_by_who_looks(on_redis):
    checks, redis_server = on_redis
    await agree(checks, [FIRST])
    key = checks.location("k1")
    await redis_server.client.expire(key, 60)
    await require_same(checks, [FIRST])
    assert await redis_server.client.ttl(key) <= 60
    await agree(checks, [FIRST])
    assert CHECK_TTL_S - 60 < await redis_server.client.ttl(key) <= CHECK_TTL_S


async def test_the_secret_counts_whose_place_was_cleared(on_redis):
    checks, redis_server = on_redis
    await agree(checks, [SECOND])
    await redis_server.client.delete(checks.location("k2"))
    await agree(checks, [WRONG])
    with pytest.raises(SettingsError):
        await agree(checks, [SECOND])


async def test_what_is_kept_tells_no_secret(on_redis):
    checks, redis_server = on_redis
    await agree(checks, [FIRST, SECOND])
    values = [await redis_server.client.get(key) for key in await redis_server.keys()]
    assert [len(value) for value in values] == [16, 16]
    assert values[0] != values[1]
