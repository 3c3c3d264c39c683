"""Records that no worker wrote: set aside before any stage sees them, never answered, and no worker ends of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from abuse.keys.key_periods import HashKey
from config.groups.processing import DeliverySettings
from stream.events.authentication.forgeries import NOT_AUTHENTIC, SAY_EVERY_S, Forgeries
from stream.events.authentication.group_macs import GroupMacs, mac_of
from stream.events.authentication.record_mac import RecordMacs
from stream.events.message.messages import Fault, Output, Record
from stream.events.topics import Topic
from stream.events.wire.dead_letter import DeadLetters
from stream.events.wire.detection_part import is_part
from stream.kafka.agents.authentic import AuthenticStage
from stream.kafka.agents.breaker import Breaker, BreakerOpen
from stream.kafka.agents.publishing import Publisher
from stream.pipeline.join.group_parts import GroupParts
from stream.runtime import metrics
from stream.runtime.patience import RetryPolicy
from tests.unit.stream.builders import bare, ids, record
from tests.unit.stream.fakes import Pipeline
from tests.unit.stream.pipeline.join_cases import DEPTH, PART_TYPE, Fleet, group_part, selfie, sent, sent_by_group

KEY = HashKey(id="k1", secret=b"a" * 32)
MACS = RecordMacs([KEY], {str(topic): topic for topic in Topic})
LETTERS = DeadLetters(topic="letters", max_bytes=1000_000)


class Scene:
    """The decide stage of a pipeline behind the check, at a time that the test sets."""

    def __init__(self) -> None:
        self.pipeline, self.now = Pipeline(), 0.0
        forgeries = Forgeries(Topic.DETECTIONS, LETTERS, lambda: self.now)
        self.stage = AuthenticStage(self.pipeline.decide_stage, MACS, forgeries)

    async def detection(self) -> Output:
        """Detection of a live person, as the detect stage makes it."""
        (made,) = await self.pipeline.detect(bare())
        return replace(made, topic=str(Topic.DETECTIONS))


def read(output: Output) -> Record:
    return replace(record(output.value, output.headers, output.key), topic=output.topic)


async def test_written_by_a_worker() -> None:
    scene = Scene()
    signed = read(MACS.signed(await scene.detection()))
    assert [output.topic for output in await scene.stage.handle(signed)] == ["decisions"]
    assert [output.topic for output in await scene.stage.answer(signed)] == ["decisions"]


async def test_forged_live() -> None:
    """Neither decided, nor answered when the worker fails on it, nor stored for the true sender of the submission."""
    scene, counter = Scene(), metrics.FORGED.labels(topic="liveness.detections", why="missing")
    forged, before = read(await scene.detection()), counter._value.get()
    with capture_logs() as logged:
        (letter,) = await scene.stage.handle(forged)
    assert (letter.topic, letter.value, letter.fault) == ("letters", forged.value, Fault.FORGED)
    assert dict(letter.headers)["reason"] == NOT_AUTHENTIC.encode()
    assert await scene.stage.answer(forged) == []
    assert await scene.pipeline.store.find(ids()) is None
    assert counter._value.get() == before + 1
    (said,) = logged
    assert (said["event"], said["log_level"], said["records"]) == ("records_not_authentic", "error", 1)


async def test_flood_ends_no_worker() -> None:
    """Nor does a flood hide that the worker fails on what is genuine; it is said now and then, with its number."""
    scene, breaker = Scene(), Breaker(DeliverySettings(breaker_dead_letters=3, breaker_failures=3))
    forged = read(await scene.detection())
    with capture_logs() as logged:
        for _ in range(1000):
            breaker.note({output.fault for output in await scene.stage.handle(forged) if output.fault})
        scene.now = SAY_EVERY_S
        await scene.stage.handle(forged)
    assert [said["records"] for said in logged] == [1, 1000]
    breaker.note({Fault.INTERNAL})
    breaker.note({Fault.FORGED})
    breaker.note({Fault.INTERNAL})
    with pytest.raises(BreakerOpen):
        breaker.note({Fault.INTERNAL})


async def test_published_with_macs() -> None:
    """A send that is repeated sends the same bytes, and no other topic's outputs are touched."""
    sent: list[Output] = []

    async def send(output: Output) -> None:
        sent.append(output)

    given: Sequence[Any] = [Output(topic=str(topic), key=b"k", value=b"v", headers=()) for topic in Topic]
    await Publisher(send, RetryPolicy(), 1, MACS).publish(given)
    assert [MACS.fault(read(output)) for output in sent] == [None] * len(Topic)
    assert {output.topic for output in sent if output.headers} == {
        "liveness.detections",
        "liveness.decisions",
        "liveness.abuse-flags",
        "liveness.sessions",
        "liveness.audit",
    }


GROUP_KEY = b"g" * 32


@pytest.mark.parametrize("key", [GROUP_KEY, KEY.secret, None])
async def test_detector_group(key: bytes | None) -> None:
    """A group proves itself by a key of its own, and a worker's key is none; without a right MAC nothing is joined."""
    fleet = Fleet(DEPTH)
    stage, letters = fleet.workers[0].decide_stage, Forgeries(Topic.DETECTIONS, LETTERS)
    parts = GroupParts(
        groups={"depth"}, macs=GroupMacs({"depth": [GROUP_KEY]}), dead_letters=LETTERS, forgeries=letters
    )
    checked = AuthenticStage(replace(stage, group_parts=parts), MACS, letters, is_part)
    given = sent_by_group(group_part())
    if key is not None:
        mac = f"1:{mac_of(key, given.topic, given.value or b'')}".encode()
        given = replace(given, headers=(*given.headers, ("liveness_group_mac", mac)))
    outputs = await checked.handle(given)
    assert [output.fault for output in outputs] == ([] if key == GROUP_KEY else [Fault.FORGED])
    assert len(await fleet.give(sent(selfie()))) == (1 if key == GROUP_KEY else 0)
    assert await checked.answer(given) == []


async def test_type_of_a_group_opens_nothing() -> None:
    """A stranger's detection with the type of a group's result is read as a result, and on other topics not at all."""
    scene = Scene()
    stage = AuthenticStage(scene.pipeline.decide_stage, MACS, Forgeries(Topic.DETECTIONS, LETTERS), is_part)
    forged = read(await scene.detection())
    forged = replace(forged, headers=(PART_TYPE, *forged.headers))
    (letter,) = await stage.handle(forged)
    assert dict(letter.headers)["reason"] == b"BAD_DETECTION_PART"
    (letter,) = await scene.stage.handle(forged)
    assert letter.fault is Fault.FORGED
