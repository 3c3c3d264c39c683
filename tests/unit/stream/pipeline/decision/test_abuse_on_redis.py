"""Pipeline over the Redis adapters: round trips of a submission, and the keys it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
import redis.asyncio as redis

from abuse.faces.face_index import FacePlan
from abuse.faces.redis_face_index import RedisFaceIndex
from abuse.ledger.redis_ledger import RedisLedger
from abuse.links.redis_link_store import RedisLinkStore
from abuse.pictures.media_index import MediaPlan
from abuse.pictures.redis_media_index import RedisMediaIndex
from abuse.redis_port import Command, RedisClient, Reply
from abuse.store_time import StillTime
from config.groups.services import RedisSettings
from config.policy import Policy
from stream.redis.client import connect
from stream.redis.decision_store import RedisDecisionStore
from tests.instants import NOW_MS
from tests.unit.stream.builders import IMAGE, OTHER_GUID, OTHER_IMAGE, analysis, base64_of
from tests.unit.stream.fakes import WEEK_MS, FakeAnalyser, Pipeline
from tests.unit.stream.likenesses import face, picture
from tests.unit.stream.maintenance.privacy_cases import everything, kind_of, naming
from tests.unit.stream.pipeline.abuse_cases import (
    ADDRESS,
    BLATANT,
    EVERYTHING,
    GUID,
    OTHER_ADDRESS,
    PRIVATE,
    abuse_of,
    code_of,
    of_kind,
    sent,
)

PREFIX = "waves:"
#: Admission, observing, storing: what a submission may wait for, one after the other.
MOST_WAVES = 3
#: Two at once at admission, observing, two for faces and two for pictures, the link store, storing.
ALONE = 2 + 1 + 2 + 2 + 1 + 1


class Waves:
    """Redis client that counts round trips, and waves: round trips under way at the same time are one wave."""

    def __init__(self, calls: RedisClient) -> None:
        self._calls = calls
        self._under_way = 0
        self.waves = self.trips = 0

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        if not commands:
            return []
        self.trips += 1
        self.waves += not self._under_way
        self._under_way += 1
        try:
            return await self._calls.execute(commands)
        finally:
            self._under_way -= 1

    async def close(self) -> None:
        await self._calls.close()


@pytest.fixture
async def waves(empty_redis: str) -> AsyncIterator[Waves]:
    counting = Waves(connect(RedisSettings(url=empty_redis, call_timeout_s=10)))
    yield counting
    await counting.close()


def pipeline_over(calls: Waves, policy: Policy | None = None) -> Pipeline:
    policy = policy or Policy()
    ledger = RedisLedger(calls, PREFIX, policy.abuse.flag_ttl_s)
    return Pipeline(FakeAnalyser(BLATANT), RedisDecisionStore(calls, PREFIX, 3600, StillTime(0)), ledger, policy)


async def waves_of(calls, work):
    before = calls.waves
    result = await work
    return calls.waves - before, result


async def test_three_waves_at_most(waves):
    pipeline = pipeline_over(waves)
    counts = []
    for number in range(1, 8):
        count, output = await waves_of(waves, pipeline.decision(sent(number, number, **EVERYTHING)))
        counts.append(count)
    assert (code_of(output), max(counts)) == ("SUBJECT_PAUSED", MOST_WAVES)
    assert len(pipeline.flags) >= 3, "among them are submissions that raise flags"
    count, _ = await waves_of(waves, pipeline.decision(sent(1, 30, **EVERYTHING)))
    assert count == 2, "a duplicate is looked up and kept"
    count, output = await waves_of(waves, pipeline.decision(sent(1, 31, **EVERYTHING, image=base64_of(OTHER_IMAGE))))
    assert (code_of(output), count) == ("DUPLICATE_MISMATCH", MOST_WAVES)
    count, _ = await waves_of(waves, pipeline.decision(sent(99, 32, image="%", **EVERYTHING)))
    assert count == 2, "a rejected one is not looked up"


def comparing_pipeline(calls: Waves) -> Pipeline:
    """With faces and pictures kept in Redis as well."""
    pipeline = pipeline_over(calls)
    reuse = pipeline.reuse
    reuse.pictures = RedisMediaIndex(calls, PREFIX, MediaPlan())
    reuse.links = RedisLinkStore(calls, PREFIX, WEEK_MS)
    assert reuse.faces is not None
    reuse.faces = replace(reuse.faces, index=RedisFaceIndex(calls, PREFIX, FacePlan()))
    return pipeline


async def shown(calls: Waves, pipeline: Pipeline, number: int, person: int) -> int:
    """Round trips, all of them, of a new correlation id that shows this person's face. At the present time, since older
    faces are kept no longer."""
    pipeline.analyser.found = analysis(template=face(person), picture=picture(number))
    given = sent(number, correlation_id=f"{GUID[:-2]}{number:02d}", image=base64_of(OTHER_IMAGE + bytes([number])))
    given = replace(given, appended_at_ms=NOW_MS + number)
    before = calls.trips
    await pipeline.decision(given)
    return calls.trips - before


async def test_round_trips_without_reuse(waves):
    """Face and picture are stored before the search, at the same time, and beside the links."""
    pipeline = comparing_pipeline(waves)
    await shown(waves, pipeline, 0, 0)  # the first learns which keys there are
    counts = [await shown(waves, pipeline, number, number) for number in range(1, 6)]
    assert min(counts) == ALONE
    assert max(counts) <= ALONE + 1, "the exact templates of strangers who may be near"


async def test_round_trips_with_reuse(waves):
    """Further round trips: exact templates, cleared ids, links, the cluster and its members, flags."""
    pipeline = comparing_pipeline(waves)
    counts = [await shown(waves, pipeline, number, 1) for number in range(6)]
    assert len({event["subject"]["key"] for event in of_kind(pipeline.flags, "face_reuse")}) == 6
    assert max(counts) <= ALONE + 7


async def test_counter_counts(waves):
    """Waves: two calls one after the other are two, three at the same time one."""
    command: list[Command] = [("GET", "x")]
    await waves.execute(command)
    await waves.execute(command)
    assert waves.waves == 2
    await asyncio.gather(*(waves.execute(command) for _ in range(3)))
    assert waves.waves == 3


async def test_redis_holds_nothing_private_or_lasting(waves, empty_redis):
    policy = Policy.model_validate({"abuse": {"address_velocity": {"submissions": 2}}})
    pipeline = pipeline_over(waves, policy)
    for number in range(8):
        address = ADDRESS if number % 2 else OTHER_ADDRESS
        who = OTHER_GUID if number > 5 else GUID
        changed = {**EVERYTHING, "client_ip": address, "correlation_id": who}
        output = await pipeline.decision(sent(number, number, **changed))
    assert abuse_of(output)["flags"]
    held = everything(empty_redis, PREFIX)
    tables = {f"abuse:{name}" for name in ("journal", "used", "flags", "flag", "flag-index", "named", "due")}
    assert {kind_of(key, PREFIX) for key in held} == {"decision", "decisions-of"} | tables
    assert [private for private in PRIVATE if naming(held, private)] == []
    assert IMAGE[:40] not in b"".join(held.values())
    client = redis.Redis.from_url(empty_redis)
    assert [key for key in held if await client.pttl(key) <= 0] == []
    await client.aclose()


async def test_two_workers_raise_flag_once(waves):
    pipelines = [pipeline_over(waves), pipeline_over(waves)]
    detections = [(await pipelines[number % 2].detect(sent(number, number)))[0] for number in range(5)]
    await asyncio.gather(*(pipelines[number % 2].decide(each) for number, each in enumerate(detections)))
    ids = sorted(dict(flag.headers)["ce_id"] for pipeline in pipelines for flag in pipeline.flags)
    assert len(ids) == len(set(ids)) == 2, "retries and severity"
