"""Erasures amid a join: a person's parts go, and each submission is answered once all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from abuse.store_time import StillTime
from stream.events.message.messages import Output, Record
from stream.pipeline.decision.parts_erasure import PartsErasure
from stream.pipeline.join.pending import InMemoryPendingDetections, PendingDetections
from tests.instants import NOW_MS
from tests.unit.stream.builders import GUID
from tests.unit.stream.json_schema import DECISION_SCHEMA, violations
from tests.unit.stream.pipeline.join_cases import (
    COUNT,
    DEPTH,
    Fleet,
    event,
    frame,
    group_part,
    selfie,
    sent,
    sent_by_group,
)

FRAMES = [sent(frame(index)) for index in range(COUNT)]
ERASED = (None, GUID)


def erasing(fleet: Fleet, pending: PendingDetections | None = None) -> PartsErasure:
    time = StillTime(NOW_MS)
    return PartsErasure(pending=pending or fleet.pending, decisions=fleet.store, policy=fleet.policy, time=time)


async def given(fleet: Fleet, *records: Record) -> list[Output]:
    return [output for each in records for output in await fleet.give(each)]


def told(output: Output) -> tuple[Any, ...]:
    found = event(output)
    return found["error"]["code"], found["result"]["reasons"], found["result"]["verdict"], found["abuse"]


ANSWER = ("SERVER_ERROR", ["server_error", "parts_erased"], "INCONCLUSIVE", None)


@pytest.mark.parametrize(
    ("policy", "waiting", "rest"),
    [(None, FRAMES[:3], FRAMES), (DEPTH, [sent(selfie())], [sent_by_group(group_part()), sent(selfie())])],
    ids=["frames", "group"],
)
async def test_what_waits_is_answered_once(policy, waiting, rest):
    """At once, without measures; the rest, and what comes again, changes nothing."""
    fleet = Fleet(policy)
    assert await given(fleet, *waiting) == []
    assert await erasing(fleet).held(*ERASED) == 1
    assert await erasing(fleet).forget(*ERASED) == 1
    (answer,) = await fleet.sweep(after_s=0)
    assert told(answer) == ANSWER
    assert (answer.key, violations(event(answer), DECISION_SCHEMA)) == (GUID.encode(), [])
    assert await given(fleet, *rest) == []
    assert await fleet.sweep() == []


async def test_nothing_of_the_person_stays():
    fleet = Fleet()
    await given(fleet, *FRAMES[:3])
    await erasing(fleet).forget(*ERASED)
    await fleet.sweep(after_s=0)
    assert GUID not in repr(fleet.pending._sets)  # type: ignore[attr-defined]
    assert GUID not in repr(fleet.store._kept)
    assert await erasing(fleet).held(*ERASED) == 0


async def test_rest_comes_before_the_sweep():
    fleet = Fleet()
    await given(fleet, *FRAMES[:3])
    await erasing(fleet).forget(*ERASED)
    assert await given(fleet, *FRAMES[3:]) == []
    (answer,) = await fleet.sweep(after_s=0)
    assert told(answer) == ANSWER


async def test_sweep_killed_before_it_settled():
    """The identical bytes again."""
    fleet = Fleet()
    await given(fleet, *FRAMES[:3])
    await erasing(fleet).forget(*ERASED)
    first, again = await _swept_without_settling(fleet), await fleet.sweep(after_s=60)
    assert [each.value for each in first] == [each.value for each in again] != []


async def _swept_without_settling(fleet: Fleet, after_s: float = 0) -> list[Output]:
    settle, fleet.pending.settle = fleet.pending.settle, _killed  # type: ignore[method-assign]
    swept = await fleet.sweep(after_s)
    fleet.pending.settle = settle  # type: ignore[method-assign]
    return swept


async def _killed(*_: object) -> None:
    raise RuntimeError("killed")


async def test_early_result_of_a_group():
    """The result goes and nothing is owed; the submission's own detection, which comes later, is decided without it."""
    fleet = Fleet(DEPTH)
    assert await given(fleet, sent_by_group(group_part())) == []
    await erasing(fleet).forget(*ERASED)
    assert await fleet.sweep(after_s=0) == []
    assert await given(fleet, sent(selfie())) == []
    (decision,) = await fleet.sweep()
    assert event(decision)["result"]["reasons"][0] == "group_missing"


async def test_decided_set_owes_nothing():
    """Closed by a record, which decides by itself; or by a sweep that ended before it settled."""
    fleet = Fleet()
    (decision,) = await given(fleet, *FRAMES)
    await erasing(fleet).forget(*ERASED)
    assert await fleet.sweep() == []
    assert event(decision)["result"]["verdict"] == "LIVE"

    swept = Fleet()
    await given(swept, *FRAMES[:3])
    assert await _swept_without_settling(swept, after_s=3600)
    await erasing(swept).forget(*ERASED)
    assert await swept.sweep() == []


async def test_swept_and_not_decided():
    fleet = Fleet()
    await given(fleet, *FRAMES[:3])
    fleet.workers[0].time.at_ms += 3_600_000
    (name,) = await fleet.pending.due(2**50, 10)
    await fleet.workers[0].decide_stage.join.end(name)
    await erasing(fleet).forget(*ERASED)
    (answer,) = await fleet.sweep(after_s=0)
    assert told(answer) == ANSWER


class _Killed(Exception):
    """The process ends here."""


def _killing(at: int) -> Callable[[str], None]:
    calls = iter(range(at))

    def call(name: str) -> None:
        if next(calls, None) is None:
            raise _Killed

    return call


@pytest.mark.parametrize("at", range(1, 5))
async def test_erasure_killed_anywhere(at):
    """Carried out again, it owes one answer; the sweep may have looked in between."""
    fleet = Fleet()
    assert isinstance(fleet.pending, InMemoryPendingDetections)
    await given(fleet, *FRAMES[:3])
    fleet.pending._on_call = _killing(at)
    with pytest.raises(_Killed):
        await erasing(fleet).forget(*ERASED)
    fleet.pending._on_call = lambda name: None
    before = await fleet.sweep(after_s=0)
    await erasing(fleet).forget(*ERASED)
    after = await fleet.sweep(after_s=0)
    assert [told(each) for each in [*before, *after]] == [ANSWER]
