"""Submissions in parts on Redis: workers that end in any round trip, and how many round trips there are."""

from __future__ import annotations

import pytest

from abuse.redis_port import RedisClient
from abuse.store_time import RedisTime
from config.groups.services import RedisSettings
from stream.redis.client import connect
from stream.redis.decision_store import RedisDecisionStore
from stream.redis.pending import RedisPendingDetections
from tests.contract.redis_servers import CountedRedis
from tests.unit.stream.builders import ids
from tests.unit.stream.fakes import Pipeline
from tests.unit.stream.maintenance.privacy_cases import Breaking, Crash
from tests.unit.stream.pipeline.join_cases import COUNT, event, frame, sent

PREFIX = "join-test:"
FRAMES = [sent(frame(index)) for index in range(COUNT)]
#: A part that waits; the one that completes the set closes it and then decides.
WAITING, CLOSING = 1, 2


@pytest.fixture
async def calls(empty_redis):
    made = connect(RedisSettings(url=empty_redis, call_timeout_s=10))
    yield made
    await made.close()


def worker(calls: RedisClient) -> Pipeline:
    time = RedisTime(calls)
    pipeline = Pipeline(
        store=RedisDecisionStore(calls, PREFIX, 3600, time), pending=RedisPendingDetections(calls, PREFIX, 3600, time)
    )
    object.__setattr__(pipeline.decide_stage.join, "time", time)
    return pipeline


async def test_killed_in_any_round_trip(calls):
    """The record comes again, to another worker: one decision, and the same when asked again."""
    decided, crash_at = set(), 0
    while True:
        breaking = Breaking(calls, crash_at)
        victim, heir = worker(breaking), worker(calls)
        submission = f"sub-{crash_at}"
        frames = [sent(frame(index, ids=ids(submission_id=submission))) for index in range(COUNT)]
        for each in frames[:-1]:
            assert await heir.decide_stage.handle(each) == []
        try:
            outputs = await victim.decide_stage.handle(frames[-1])
        except Crash:
            outputs = await heir.decide_stage.handle(frames[-1])
        else:
            break
        (output,) = outputs
        decided.add(event(output)["result"]["verdict"])
        assert [*await worker(calls).decide_stage.handle(frames[-1])] == [output]
        crash_at += 1
    assert decided == {"LIVE"}
    assert crash_at > CLOSING


async def test_round_trips(calls):
    counted = CountedRedis(calls)
    line = worker(counted)
    await line.decide_stage.handle(FRAMES[0])  # the first asks for the time
    waiting = []
    for each in FRAMES[1:-1]:
        before = len(counted.trips)
        await line.decide_stage.handle(each)
        waiting.append(len(counted.trips) - before)
    assert set(waiting) == {WAITING}
    before = len(counted.trips)
    assert await line.decide_stage.join.add(frame(COUNT - 1)) is not None
    assert len(counted.trips) - before == CLOSING
