"""Parts that waited in a Redis which lost its content: each submission is decided once all the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from abuse.review.erased import Erased
from abuse.review.erasure import digest_of
from abuse.subjects import SubjectType
from config.catalogues.error_codes import ErrorCode
from stream.events.message.messages import Output, Record, Refusal
from stream.maintenance.parts_restoring import PartsRestoring
from stream.maintenance.rebuild_records import published_of
from stream.pipeline.decision.parts_erasure import PARTS_ERASED
from stream.pipeline.join.pending import Closing, InMemoryPendingDetections, Parts, PendingDetections
from tests.instants import NOW_MS
from tests.unit.stream.builders import APPENDED_AT_MS, GUID, OTHER_GUID, ids
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
SELFIE, RESULT = sent(selfie()), sent_by_group(group_part())
KEPT_MS = 48 * 3_600_000
NOBODY = Erased()
PERSON = Erased({digest_of(None, SubjectType.CORRELATION_ID, GUID): NOW_MS + 1_000_000})


def restoring(fleet: Fleet) -> PartsRestoring:
    stage = fleet.workers[0].decide_stage
    return PartsRestoring(
        join=stage.join,
        decisions=fleet.store,
        group_parts=stage.group_parts,
        replays=None,
        policy=fleet.policy,
        kept_ms=KEPT_MS,
    )


async def rebuilt(
    records: Sequence[Record],
    published: Sequence[Output] = (),
    erased: Erased = NOBODY,
    pending: PendingDetections | None = None,
    **fields: Any,
) -> Fleet:
    """Workers over a Redis made anew from the records of detections and the published decisions."""
    fleet = Fleet(DEPTH if SELFIE in records or RESULT in records else None, pending)
    parts, decisions = restoring(fleet), [published_of(each.value or b"") for each in published]
    for each in decisions:
        if erased is PERSON:
            parts.note_gone(each.ids)
    await fleet.store.restore([] if erased is PERSON else decisions)
    read = [(record.appended_at_ms, parts.read(record)) for record in records]
    await parts.restore([(at_ms, part) for at_ms, part in read if part is not None], erased)
    await parts.close_decided()
    return fleet


async def given(fleet: Fleet, *records: Record) -> list[Output]:
    return [output for each in records for output in await fleet.give(each)]


@pytest.mark.parametrize(
    ("records", "verdict"),
    [(FRAMES, "LIVE"), (FRAMES[:5], "INCONCLUSIVE"), ([SELFIE], "INCONCLUSIVE"), ([RESULT, SELFIE], "LIVE")],
    ids=["all frames", "some frames", "without the group", "with the group"],
)
async def test_what_waited_is_decided(records, verdict):
    """By the sweep, and whatever is read again changes nothing."""
    fleet = await rebuilt(records)
    (decision,) = await fleet.sweep()
    assert (event(decision)["result"]["verdict"], violations(event(decision), DECISION_SCHEMA)) == (verdict, [])
    assert await given(fleet, *records) == []
    assert await fleet.sweep() == []


async def test_rest_completes_the_set():
    """As if nothing had been lost."""
    expected, fleet = Fleet(), await rebuilt(FRAMES[:5])
    (decision,) = await given(fleet, *FRAMES[5:])
    (other,) = await given(expected, *FRAMES)
    assert event(decision)["request_id"] == event(other)["request_id"]
    assert event(decision)["result"] == event(other)["result"]


async def test_result_that_came_early_counts():
    fleet = await rebuilt([RESULT])
    assert await fleet.sweep() == []
    (decision,) = await given(fleet, SELFIE)
    assert event(decision)["result"]["verdict"] == "LIVE"


@pytest.mark.parametrize("records", [FRAMES, [SELFIE, RESULT]], ids=["frames", "group"])
async def test_decided_before_the_loss(records):
    """No set waits again; nor does a frame that was sent again after the decision."""
    before = Fleet(DEPTH if SELFIE in records else None)
    published = await given(before, *records)
    mismatch = Refusal(error=ErrorCode.DUPLICATE_MISMATCH, message="used before", counts=True)
    late = [sent(frame(0, finding=mismatch))] if records is FRAMES else []
    fleet = await rebuilt([*records, *late], published)
    assert await fleet.sweep() == []


async def test_session_of_the_token():
    """A decision names the session of its token, the frames' own ids name none."""
    before = Fleet()
    (published,) = await given(before, *FRAMES)
    named = replace(published, value=(published.value or b"").replace(b'"session_id":"', b'"session_id":"other-'))
    assert await (await rebuilt(FRAMES, [named])).sweep() == []


async def test_id_of_somebody_else():
    """A decision on another person's submission under the same id answers nothing of what waits."""
    others = [sent(frame(index, mark="other", ids=ids(correlation_id=OTHER_GUID))) for index in range(COUNT)]
    published = await given(Fleet(), *others)
    (decision,) = await (await rebuilt(FRAMES, published)).sweep()
    assert event(decision)["error"]["code"] == "DUPLICATE_MISMATCH"


async def test_older_than_any_decision_known():
    long_ago = [replace(each, appended_at_ms=APPENDED_AT_MS - KEPT_MS) for each in FRAMES]
    assert await (await rebuilt(long_ago)).sweep() == []


@pytest.mark.parametrize("records", [FRAMES[:3], [RESULT, SELFIE]], ids=["frames", "group"])
async def test_erased_since(records):
    """An answer without measures is owed, and none for a submission that was decided before the erasure."""
    fleet = await rebuilt(records, erased=PERSON)
    (answer,) = await fleet.sweep(after_s=0)
    assert event(answer)["result"]["reasons"][1:] == [PARTS_ERASED]
    assert GUID not in repr(fleet.pending._sets)  # type: ignore[attr-defined]
    again = restoring(fleet)
    part = again.read(records[-1])
    assert part is not None
    await again.restore([(NOW_MS, part)], PERSON)
    assert await fleet.sweep() == []

    published = await given(Fleet(fleet.policy), *(FRAMES if records[0] in FRAMES else records))
    assert published
    assert await (await rebuilt(records, published, PERSON)).sweep() == []


async def test_older_copy_of_what_waited():
    """Three frames waited when the copy was made; the submission was decided after that."""
    before = Fleet()
    await given(before, *FRAMES[:3])
    published = await given(Fleet(), *FRAMES)
    assert await (await rebuilt(FRAMES, published, pending=before.pending)).sweep() == []
    await restoring(before).discard(None, GUID)
    assert await before.sweep() == []


async def test_older_copy_with_a_part_that_cannot_be_read():
    """As of another release: it holds up neither the rebuild nor the sets beside it."""
    before = Fleet()
    other = replace(frame(0), ids=replace(frame(0).ids, submission_id="sub-other"))
    await given(before, sent(other))
    (broken,) = before.pending._sets
    before.pending._sets[broken].parts["frame:0"] = ("d" * 32, b"not a detection")
    await given(before, *FRAMES[:3])
    published = await given(Fleet(), *FRAMES)
    fleet = await rebuilt(FRAMES, published, pending=before.pending)
    assert await fleet.pending.due(2**50, 9) == [broken]


class ClosedMeanwhile(InMemoryPendingDetections):
    """Sets one of which a worker closes at the moment when another call would."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def close(self, name: str, closing: Closing) -> tuple[Closing, Parts]:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return await super().close(name, closing)


async def test_worker_closes_a_decided_set():
    """A set that its last record closes while the rebuild would: the record may be read again."""
    pending = ClosedMeanwhile()
    fleet = Fleet(None, pending)
    published = await given(Fleet(), *FRAMES)
    await fleet.store.restore([published_of(each.value or b"") for each in published])
    assert await given(fleet, *FRAMES[:-1]) == []
    pending.meanwhile = partial(fleet.give, FRAMES[-1])
    await restoring(fleet).close_decided()
    assert [each.value for each in await given(fleet, FRAMES[-1])] == [each.value for each in published]


async def test_killed_before_the_answer_was_owed():
    def call(name: str) -> None:
        if name == "owe":
            raise InterruptedError

    fleet = Fleet(None, InMemoryPendingDetections(call))
    parts, frames = restoring(fleet), [(NOW_MS, frame(0))]
    with pytest.raises(InterruptedError):
        await parts.restore(frames, PERSON)
    fleet.pending._on_call = lambda name: None  # type: ignore[attr-defined]
    for _ in range(2):
        await parts.restore(frames, PERSON)
    (answer,) = await fleet.sweep(after_s=0)
    assert event(answer)["result"]["reasons"][1:] == [PARTS_ERASED]
    await parts.restore(frames, PERSON)
    assert await fleet.sweep() == []


async def test_what_waits_for_nothing():
    """A whole submission where the policy names no group, and the result of a group that it doesn't name."""
    assert [restoring(Fleet()).read(record) for record in (SELFIE, RESULT)] == [None, None]
