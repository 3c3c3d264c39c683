"""Switches that a worker read a moment ago: they save a round trip and decide nothing."""

from __future__ import annotations

from stream.pipeline.decision.abuse_stage import A_MOMENT_S, TENANTS_REMEMBERED, SwitchMemory
from tests.unit.stream.likenesses import face
from tests.unit.stream.pipeline.abuse_cases import abuse_of, sent
from tests.unit.stream.pipeline.decision.test_reuse_stage import guid, submit

OFF = {"face_reuse": {"active": False}}


async def linked(pipeline, number: int, before_deciding=None) -> bool:
    """Whether a submission of the one face is linked, when the switch comes between detection and decision."""
    (detection,) = await pipeline.detect(sent(number, number, correlation_id=guid(number)))
    if before_deciding is not None:
        await pipeline.ledger.switch(None, before_deciding)
    return bool(abuse_of(await pipeline.decide(detection))["links"])


async def test_switch_of_this_moment_counts(pipeline):
    await submit(pipeline, 1, 1, face(1))
    assert await linked(pipeline, 2)
    assert not await linked(pipeline, 3, OFF)
    assert len(pipeline.flags) == 0
    await pipeline.ledger.switch(None, {})
    assert await linked(pipeline, 4), "though the worker remembers that the rule was off"


def test_memory_is_short_and_bounded():
    now = [100.0]
    memory = SwitchMemory(clock=lambda: now[0])
    for number in range(TENANTS_REMEMBERED + 1):
        memory.put(f"tenant-{number}", OFF)
    assert (memory.get("tenant-0"), memory.get("tenant-1"), memory.get("unknown")) == (None, OFF, None)
    now[0] += A_MOMENT_S
    assert memory.get("tenant-1") is None
