"""Clocks that are wrong, a worker's or a record's: what is durable goes by the store's time."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from abuse.event_time import DAY_MS
from abuse.redis_port import Command, RedisClient, Reply
from abuse.store_time import ASK_EVERY_S, RedisTime, StillTime
from config.errors import SettingsError, Unavailable
from config.groups.services import RedisSettings
from config.settings import Settings
from stream.bootstrap.worker import build_worker
from stream.events.message.ids import SubmissionIds
from stream.events.wire.event_times import AHEAD_MS, LATEST_MS, EventTimes
from stream.kafka.worker.worker import Role
from stream.pipeline.decision_store import StoredDecision
from stream.redis.client import connect
from stream.redis.decision_store import RedisDecisionStore
from stream.runtime.clock import SystemClock
from stream.runtime.clock_watch import ClockWatch
from stream.runtime.patience import RetryPolicy
from tests.instants import NOW_MS, StillClock
from tests.unit.stream.builders import GUID


@pytest.fixture
async def calls(empty_redis: str) -> AsyncIterator[RedisClient]:
    client = connect(RedisSettings(url=empty_redis, call_timeout_s=10))
    yield client
    await client.close()


class Told:
    """Redis that tells this time, or is away."""

    def __init__(self, at_ms: int | None) -> None:
        self.at_ms, self.asked = at_ms, 0

    async def execute(self, commands: list[Command]) -> list[Reply]:
        self.asked += 1
        if self.at_ms is None:
            raise Unavailable("redis", "ConnectionError")
        return [[str(self.at_ms // 1000).encode(), str(self.at_ms % 1000 * 1000).encode()]]

    async def close(self) -> None: ...


async def test_time_of_the_server(calls):
    assert abs(await RedisTime(calls).now_ms() - SystemClock().now_ms()) < 10_000


async def test_time_goes_on_between_answers():
    redis, seconds = Told(NOW_MS), [100.0]
    told = RedisTime(redis, lambda: seconds[0])
    assert await told.now_ms() == NOW_MS
    seconds[0] += 2.5
    assert (await told.now_ms(), redis.asked) == (NOW_MS + 2500, 1)
    redis.at_ms = None
    seconds[0] += ASK_EVERY_S
    assert (await told.now_ms(), redis.asked) == (NOW_MS + 7500, 2), "an outage is no reason to lose the time"
    redis.at_ms = NOW_MS + 9000
    assert await told.now_ms() == NOW_MS + 9000
    with pytest.raises(Unavailable):
        await RedisTime(Told(None)).now_ms()


def watch(ahead_s: float) -> ClockWatch:
    clock = StillClock(NOW_MS + int(ahead_s * 1000))
    return ClockWatch(time=StillTime(NOW_MS), clock=clock, patience=RetryPolicy(), limit_s=30)


@pytest.mark.parametrize(
    ("ahead_s", "words"),
    [(0, None), (29, None), (-30, None), (31 * 86_400, "2678400 s ahead of"), (-31, "31 s behind")],
)
async def test_worker_with_a_wrong_clock_does_not_start(ahead_s, words):
    if words is None:
        await watch(ahead_s).check()
        return
    with pytest.raises(SettingsError, match=f"redis.max_clock_difference_s: .* {words} Redis' clock"):
        await watch(ahead_s).check()


@pytest.mark.parametrize(("ahead_s", "said"), [(0, 0), (3 * 86_400, 1), (-600, 1)])
async def test_running_worker_says_so(ahead_s, said):
    with capture_logs() as logged:
        assert await watch(ahead_s).look() == ahead_s
    assert [each["event"] for each in logged].count("clock_differs") == said


@pytest.mark.parametrize("role", Role)
def test_every_worker_looks(role):
    components = build_worker(Settings(), [role])._components
    assert ClockWatch.check in [getattr(each, "__func__", None) for each in components.checks]
    assert ClockWatch.run in [getattr(each, "__func__", None) for each in components.background_tasks]


@pytest.mark.parametrize("ahead_days", [3, 31])
async def test_decisions_stay_listed_beside_a_worker_ahead(calls, monkeypatch, ahead_days):
    """An erasure finds decisions by their list, which a worker days ahead must not empty."""
    first, second = (SubmissionIds(submission_id=name, correlation_id=GUID) for name in ("one", "two"))
    decision = StoredDecision("a" * 32, f'{{"correlation_id": "{GUID}"}}'.encode())
    await RedisDecisionStore(calls, "p:", 48 * 3600).put_if_absent(first, decision)
    ahead_ms = SystemClock().now_ms() + ahead_days * DAY_MS
    monkeypatch.setattr(time, "time_ns", lambda: ahead_ms * 1_000_000)
    ahead = RedisDecisionStore(calls, "p:", 48 * 3600)
    await ahead.put_if_absent(second, decision)
    assert await ahead.forget(None, GUID) == 2
    assert [await ahead.find(ids) for ids in (first, second)] == [None, None]


@pytest.mark.parametrize(
    ("appended_at_ms", "counted_ms"),
    [
        (NOW_MS, NOW_MS),
        (NOW_MS - 400 * DAY_MS, NOW_MS - 400 * DAY_MS),
        (NOW_MS + AHEAD_MS, NOW_MS + AHEAD_MS),
        (NOW_MS + AHEAD_MS + 1, NOW_MS),
        (LATEST_MS, NOW_MS),
        (0, NOW_MS),
    ],
)
async def test_times_of_records(appended_at_ms, counted_ms):
    assert await EventTimes(StillTime(NOW_MS), RetryPolicy()).counted(appended_at_ms) == counted_ms
