"""The watch for eviction, on a real server whose limit and policy are set as an operator does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from structlog.testing import capture_logs

from config.errors import SettingsError
from config.groups.services import RedisSettings
from stream.redis import eviction
from stream.redis.eviction import EvictionWatch
from stream.runtime import metrics
from tests.unit.stream.redis.scripted_redis import scripted

LIMIT = 500_000_000
PASSWORD = "of-a-test"
#: What a user who asks may do: both questions, one, or none.
RIGHTS = {"both": (), "info": ("-config",), "config": ("-info",)}


@pytest.fixture
def operator(empty_redis: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(empty_redis) as client:
        yield client
        change(client, 0, "noeviction")
        client.acl_deluser("worker")


def change(operator: redis.Redis, limit: int, policy: str) -> None:
    operator.config_set("maxmemory", limit)
    operator.config_set("maxmemory-policy", policy)


def watch(operator: redis.Redis, url: str, *rights: str, **changed: object) -> EvictionWatch:
    operator.execute_command("ACL", "SETUSER", "worker", "reset", "on", f">{PASSWORD}", "~*", "+@all", *rights)
    url = url.replace("unix://", f"unix://worker:{PASSWORD}@")
    return EvictionWatch(RedisSettings(url=url, call_timeout_s=10, **changed))


@pytest.mark.parametrize("rights", RIGHTS.values(), ids=RIGHTS)
@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "volatile-lru", "allkeys-random"])
async def test_eviction_is_refused(empty_redis, operator, policy, rights):
    change(operator, LIMIT, policy)
    with pytest.raises(
        SettingsError, match=rf"^redis: maxmemory-policy is {policy}: .*noeviction.*ALLOW_EVICTION=true"
    ):
        await watch(operator, empty_redis, *rights).check()


@pytest.mark.parametrize("rights", RIGHTS.values(), ids=RIGHTS)
@pytest.mark.parametrize(("limit", "policy"), [(0, "allkeys-lru"), (LIMIT, "noeviction"), (0, "noeviction")])
async def test_nothing_is_dropped(empty_redis, operator, limit, policy, rights):
    change(operator, limit, policy)
    watching = watch(operator, empty_redis, *rights)
    with capture_logs() as logged:
        await watching.check()
    assert (logged, watching.troubles()) == ([], ())


async def test_setting_accepts_eviction(empty_redis, operator):
    change(operator, LIMIT, "allkeys-lfu")
    watching = watch(operator, empty_redis, allow_eviction=True)
    with capture_logs() as logged:
        await watching.check()
    assert [(event["event"], event["policy"]) for event in logged] == [("redis_evicts", "allkeys-lfu")]
    assert (watching.troubles(), metrics.REDIS_EVICTS._value.get()) == ((), 1)


async def test_change_is_told_once(empty_redis, operator):
    watching = watch(operator, empty_redis)
    await watching.check()
    change(operator, LIMIT, "allkeys-lru")
    with capture_logs() as logged:
        for _ in range(2):
            await watching.look()
    assert [event["event"] for event in logged] == ["redis_evicts"]
    assert (watching.troubles(), metrics.REDIS_EVICTS._value.get()) == (("redis: maxmemory-policy is allkeys-lru",), 1)
    change(operator, LIMIT, "noeviction")
    with capture_logs() as logged:
        await watching.look()
    assert [event["event"] for event in logged] == ["redis_evicts_no_more"]
    assert (watching.troubles(), metrics.REDIS_EVICTS._value.get()) == ((), 0)


async def test_background_task_looks(empty_redis, operator, monkeypatch):
    """A Redis that is away doesn't end the task."""
    monkeypatch.setattr(eviction, "LOOK_EVERY_S", 0.01)
    looked = 0

    class Looked(Exception):
        pass

    async def look() -> None:
        nonlocal looked
        looked += 1
        raise eviction.Unavailable("redis", "ConnectionError") if looked < 3 else Looked

    watching = watch(operator, empty_redis)
    monkeypatch.setattr(watching, "look", look)
    with pytest.raises(Looked):
        await watching.run()


@pytest.mark.parametrize(
    "told", [b"-NOPERM no permissions to run 'x'\r\n", b"-ERR CONFIG is off here\r\n", b"*0\r\n", b"+\r\n"]
)
async def test_unknown_policy_is_said_once(told):
    async with scripted(lambda command: told) as (server,):
        watching = EvictionWatch(RedisSettings(url=f"redis://127.0.0.1:{server.port}/0", call_timeout_s=10))
        with capture_logs() as logged:
            for _ in range(2):
                await watching.check()
    assert [event["event"] for event in logged] == ["redis_eviction_unknown"]
