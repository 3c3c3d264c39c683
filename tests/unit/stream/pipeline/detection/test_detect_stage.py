"""Detect stage in a pipeline of fakes: detections, dead letters, and submissions that are not analysed."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from abuse.ledger.ledger import InMemoryLedger
from config.catalogues.error_codes import MEANING, ErrorCode
from config.policy import Policy
from detectors.pool.outcomes import CrashCause, SlotCrashed, SlotTimeout
from stream.events.message.messages import AlreadyDecided, Refusal
from stream.events.wire.detection_codec import decode_detection
from stream.pipeline.decision_store import InMemoryDecisionStore
from tests.unit.stream.builders import (
    APPENDED_AT_MS,
    GUID,
    IMAGE,
    OTHER_IMAGE,
    SECRET,
    analysis,
    bare,
    base64_of,
    binary,
    record,
)
from tests.unit.stream.fakes import Away, FakeAnalyser, Pipeline
from tests.unit.stream.runtime.virtual_time import now, run

CRASHED = SlotCrashed(cause=CrashCause.SIGNAL, code=11, queue_ms=0.0)
TIMED_OUT = SlotTimeout(deadline_s=10.0, queue_ms=0.0)


async def finding_of(pipeline, given):
    (output,) = await pipeline.detect(given)
    return decode_detection(output.value).finding


async def test_submission_becomes_detection(pipeline):
    (output,) = await pipeline.detect(bare())
    assert pipeline.analyser.pictures == [IMAGE]
    assert (output.topic, output.key, dict(output.headers)["ce_source"]) == ("detections", GUID.encode(), b"/test")
    detection = decode_detection(output.value)
    assert (detection.finding, detection.ids.submission_id) == ((analysis(),), "sub-1")
    assert detection.appended_at_ms == APPENDED_AT_MS
    assert min(detection.queue_ms, detection.detection_ms) > 0


async def test_nothing_private_in_detection(pipeline):
    (output,) = await pipeline.detect(bare(client_ip="203.0.113.9", device_id=SECRET))
    sent = (output.value or b"") + b"".join(value for _, value in output.headers)
    for private in (b"203.0.113.9", SECRET.encode(), base64_of().encode()[:40], IMAGE[:40]):
        assert private not in sent


async def test_rejected_submission_not_analysed(pipeline):
    assert await finding_of(pipeline, bare(image="%")) == Refusal(
        error=ErrorCode.INVALID_REQUEST, message="image is not valid base64"
    )
    assert pipeline.analyser.pictures == []


async def test_poison_is_dead_letter(pipeline):
    given = record(b"\xff" + SECRET.encode(), (("ce_type", b"x"), ("ce_clientip", b"203.0.113.9")), b"key")
    (output,) = await pipeline.detect(given)
    assert (output.topic, output.key, output.value) == ("dead", given.key, given.value)
    assert dict(output.headers)["reason"] == b"INVALID_REQUEST"
    assert SECRET not in repr(output.headers)


@pytest.mark.parametrize(
    ("found", "error", "topics"),
    [
        (TIMED_OUT, ErrorCode.DETECTOR_TIMEOUT, ["detections"]),
        (CRASHED, ErrorCode.INFERENCE_ERROR, ["dead", "detections"]),
    ],
)
async def test_slot_ends_in_refusal(found, error, topics):
    outputs = await Pipeline(FakeAnalyser(found)).detect(binary())
    assert decode_detection(outputs[-1].value).finding == Refusal(error=error, message=MEANING[error][0])
    assert [output.topic for output in outputs] == topics


async def test_second_crash_is_dead_letter():
    given = binary(deviceid=SECRET, clientip="203.0.113.9")
    with capture_logs() as logs:
        letter, _ = await Pipeline(FakeAnalyser(CRASHED)).detect(given)
    assert (letter.key, letter.value) == (given.key, IMAGE)
    headers = dict(letter.headers)
    assert (headers["reason"], headers["source_offset"]) == (b"SLOT_CRASHED_TWICE", b"17")
    assert [private for private in (SECRET, "203.0.113.9") if private in repr((headers, logs))] == []
    assert [entry["event"] for entry in logs] == ["slot_crashed_twice"]


def test_deadline_of_event():
    cancelled = []

    async def never():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def scenario():
        started = now()
        finding = await finding_of(Pipeline(FakeAnalyser(never)), bare())
        return finding, now() - started

    finding, waited = run(scenario())
    assert finding == Refusal(error=ErrorCode.SERVER_ERROR, message=MEANING[ErrorCode.SERVER_ERROR][0])
    assert waited == pytest.approx(Policy().deadlines.event_s)
    assert cancelled == [True]


async def test_bug_in_pool_is_loud():
    async def broken():
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        await Pipeline(FakeAnalyser(broken)).detect(bare())


async def test_only_new_content_is_analysed(pipeline):
    first = await pipeline.decision(bare())
    assert await finding_of(pipeline, bare()) == AlreadyDecided(decision=first.value or b"")
    other = await finding_of(pipeline, bare(image=base64_of(OTHER_IMAGE)))
    assert isinstance(other, Refusal)
    assert other.error is ErrorCode.DUPLICATE_MISMATCH
    assert len(pipeline.analyser.pictures) == 1
    assert await finding_of(pipeline, bare(tenant="bank-1")) == (analysis(),), "another tenant's submission id"
    assert len(pipeline.analyser.pictures) == 2


@pytest.mark.parametrize("part", ["store", "ledger"])
def test_nothing_analysed_while_redis_is_away(part):
    async def scenario():
        away = Away(20)
        pipeline = Pipeline(**{part: {"store": InMemoryDecisionStore, "ledger": InMemoryLedger}[part](away)})
        waiting = asyncio.create_task(pipeline.detect(bare()))
        await asyncio.sleep(15)
        assert (waiting.done(), pipeline.patience.waiting_for, pipeline.analyser.pictures) == (False, ("redis",), [])
        (output,) = await waiting
        assert decode_detection(output.value).finding == (analysis(),)
        assert (away.left, len(away.calls), pipeline.patience.waiting_for) == (0, 21, ())

    run(scenario())


async def test_clock_behind_broker(pipeline):
    pipeline.clock.at_ms = APPENDED_AT_MS - 60_000
    (output,) = await pipeline.detect(bare())
    assert decode_detection(output.value).queue_ms == 0.0
