"""Poison in a flood: any publisher can send it, so it ends no worker; it hides no failure, and is said."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from config.groups.processing import DeliverySettings
from detectors.pool.outcomes import SlotCrashed
from stream.events.message.messages import UNREADABLE_BATCH_HEADER, Fault, Output
from stream.kafka.agents.breaker import Breaker, BreakerOpen
from tests.unit.stream.builders import bare, record
from tests.unit.stream.fakes import FakeAnalyser, Pipeline
from tests.unit.stream.kafka.agent_scene import Scene
from tests.unit.stream.review.command_cases import Reviewer
from tests.unit.stream.runtime.virtual_time import on_virtual_time

POISON = {
    "names nobody": record(b'{"image": "x"}'),
    "empty": record(None),
    "unreadable batch": record(b"junk", ((UNREADABLE_BATCH_HEADER, b""),)),
}
SETTINGS = DeliverySettings(breaker_dead_letters=3, breaker_failures=3)


@pytest.mark.parametrize("name", POISON)
@pytest.mark.parametrize("stage", [Pipeline().detect, Reviewer().obey], ids=["submissions", "commands"])
async def test_ends_no_worker(stage, name: str) -> None:
    breaker = Breaker(SETTINGS)
    for _ in range(10):
        (letter,) = await stage(POISON[name])
        breaker.note({letter.fault})
    breaker.note({Fault.INTERNAL})
    breaker.note({letter.fault})
    breaker.note({Fault.INTERNAL})
    with pytest.raises(BreakerOpen):
        breaker.note({Fault.INTERNAL})


async def test_crashing_slots_still_do() -> None:
    found = SlotCrashed(cause="signal", code=11, queue_ms=0.0)
    letter, detection = await Pipeline(FakeAnalyser(lambda: _now(found))).detect(bare())
    assert (letter.fault, detection.fault) == (Fault.DEAD_LETTER, Fault.INTERNAL)


async def _now(found: SlotCrashed) -> SlotCrashed:
    return found


@on_virtual_time
async def test_said() -> None:
    scene = Scene()
    letter = Output(topic="letters", key=None, value=b"", headers=(), fault=Fault.POISON)
    with capture_logs() as logged:
        await scene.put(range(1))
        await scene.end(0, outputs=[letter])
    assert [(event["event"], event["records"]) for event in logged] == [("records_set_aside", 1)]
