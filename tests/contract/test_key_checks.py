"""Contract of the check values of hash keys: in memory, on the embedded Redis, a real server, a real cluster.

The first secret under a key id counts, and a process that only reads stores nothing.
"""

from __future__ import annotations

import asyncio

import pytest

from abuse.keys.key_checks import InMemoryKeyChecks, agree, require_same
from abuse.keys.key_periods import HashKey
from abuse.keys.redis_key_checks import CHECK_TTL_S, RedisKeyChecks
from config.errors import SettingsError
from tests.contract.redis_servers import PortKind

FIRST = HashKey(id="k1", secret=b"1" * 32)
SECOND = HashKey(id="k2", secret=b"2" * 32, since_ms=5)
WRONG = HashKey(id="k2", secret=b"another-secret-under-the-same-id", since_ms=5)


PORT = PortKind(in_memory=InMemoryKeyChecks, on_redis=RedisKeyChecks)


async def test_same_secrets_agree(held):
    await agree(held.store, [FIRST])
    await agree(held.other_worker, [SECOND, FIRST])
    await agree(held.store, [SECOND])
    await require_same(held.other_worker, [FIRST, SECOND])
    await agree(held.store, [])


async def test_another_secret_is_refused(held):
    await agree(held.store, [FIRST, SECOND])
    for refuse in (agree, require_same):
        with pytest.raises(SettingsError) as refused:
            await refuse(held.other_worker, [FIRST, WRONG])
        words = str(refused.value)
        wanted = ("LIVENESS_ABUSE__HASH_KEYS", "key k2", held.store.location("k2"), WRONG.secret.decode())
        assert [each in words for each in wanted] == [True, True, True, False]
    await agree(held.store, [FIRST, SECOND])


async def test_reading_stores_nothing(held):
    await require_same(held.store, [WRONG])
    await agree(held.other_worker, [SECOND])
    with pytest.raises(SettingsError):
        await require_same(held.store, [WRONG])


async def test_simultaneous_secrets_conflict(held):
    results = await asyncio.gather(
        agree(held.store, [SECOND]), agree(held.other_worker, [WRONG]), return_exceptions=True
    )
    assert sorted(type(each) for each in results if each is not None) == [SettingsError]


async def test_agreeing_renews_the_value(on_redis):
    """A value that is deleted admits another secret."""
    checks, redis_server = on_redis.store, on_redis.redis
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
    checks, redis_server = on_redis.store, on_redis.redis
    await agree(checks, [FIRST, SECOND])
    values = [await redis_server.client.get(key) for key in await redis_server.keys()]
    assert [len(value) for value in values] == [16, 16]
    assert values[0] != values[1]
