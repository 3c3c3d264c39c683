"""The detect stage over fakes: what each end of an analysis becomes, and what is analysed at all."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from config.error_codes import MEANING, ErrorCode
from config.policy import Policy
from detectors.pool.outcomes import CrashCause, SlotCrashed, SlotTimeout
from stream.events.detection_codec import decode_detection
from stream.events.messages import AlreadyDecided, Refusal
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


async def finding_of(line, given):
    (output,) = await line.detect(given)
    return decode_detection(output.value).finding


async def test_a_sound_submission_becomes_one_detection():
    line = Pipeline()
    (output,) = await line.detect(bare())
    assert line.analyser.pictures == [IMAGE]
    assert output.topic == "detections"
    assert output.key == GUID.encode()
    detection = decode_detection(output.value)
    assert detection.finding == (analysis(),)
    assert detection.ids.submission_id == "sub-1"
    assert detection.appended_at_ms == APPENDED_AT_MS
    assert detection.queue_ms > 0
    assert detection.detection_ms > 0
    assert dict(output.headers)["ce_source"] == b"/test"


async def test_no_picture_and_no_personal_field_crosses_to_the_next_topic():
    (output,) = await Pipeline().detect(bare(client_ip="203.0.113.9", device_id=SECRET, session_token=SECRET))
    sent = (output.value or b"") + b"".join(value for _, value in output.headers)
    for private in (b"203.0.113.9", SECRET.encode(), base64_of().encode()[:40], IMAGE[:40]):
        assert private not in sent


async def test_a_refused_submission_is_not_analysed():
    line = Pipeline()
    assert await finding_of(line, bare(image="%")) == Refusal(
        error=ErrorCode.INVALID_REQUEST, message="image is not valid base64"
    )
    assert line.analyser.pictures == []


async def test_poison_is_set_aside_unchanged():
    line = Pipeline()
    given = record(b"\xff" + SECRET.encode(), (("ce_type", b"x"), ("ce_clientip", b"203.0.113.9")), b"key")
    (output,) = await line.detect(given)
    assert output.topic == "dead"
    assert (output.key, output.value) == (given.key, given.value)
    headers = dict(output.headers)
    assert headers["reason"] == b"INVALID_REQUEST"
    assert SECRET.encode() not in headers["message"]
    assert "ce_clientip" not in headers


@pytest.mark.parametrize(
    ("found", "error"), [(TIMED_OUT, ErrorCode.DETECTOR_TIMEOUT), (CRASHED, ErrorCode.INFERENCE_ERROR)]
)
async def test_the_end_of_a_slot_is_an_answer(found, error):
    line = Pipeline(FakeAnalyser(found))
    *letters, output = await line.detect(binary())
    finding = decode_detection(output.value).finding
    assert finding == Refusal(error=error, message=MEANING[error][0])
    assert [letter.topic for letter in letters] == (["dead"] if found is CRASHED else [])


async def test_a_picture_that_crashed_twice_is_set_aside_and_answered():
    given = binary(deviceid=SECRET, clientip="203.0.113.9", sessiontoken=SECRET)
    with capture_logs() as logs:
        letter, output = await Pipeline(FakeAnalyser(CRASHED)).detect(given)
    assert (letter.key, letter.value) == (given.key, IMAGE)
    headers = dict(letter.headers)
    assert headers["reason"] == b"SLOT_CRASHED_TWICE"
    assert headers["source_offset"] == b"17"
    shown = repr((headers, logs))
    assert SECRET not in shown
    assert "203.0.113.9" not in shown
    assert output.topic == "detections"
    assert [entry["event"] for entry in logs] == ["slot_crashed_twice"]


def test_an_analysis_that_outlives_the_event_s_deadline_is_given_up():
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


async def test_a_bug_in_the_pool_is_loud():
    async def broken():
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        await Pipeline(FakeAnalyser(broken)).detect(bare())


async def test_a_decided_submission_is_not_analysed_again():
    line = Pipeline()
    first = await line.decision(bare())
    finding = await finding_of(line, bare())
    assert finding == AlreadyDecided(decision=first.value or b"")
    assert len(line.analyser.pictures) == 1


async def test_other_content_under_a_decided_id_is_not_analysed():
    line = Pipeline()
    await line.decision(bare())
    finding = await finding_of(line, bare(image=base64_of(OTHER_IMAGE)))
    assert isinstance(finding, Refusal)
    assert finding.error is ErrorCode.DUPLICATE_MISMATCH
    assert len(line.analyser.pictures) == 1


async def test_the_same_id_of_another_tenant_is_another_submission():
    line = Pipeline()
    await line.decision(bare())
    assert await finding_of(line, bare(tenant="bank-1")) == (analysis(),)
    assert len(line.analyser.pictures) == 2


def test_while_the_store_is_away_nothing_is_analysed_or_decided():
    async def scenario():
        away = Away(20)
        line = Pipeline(store=InMemoryDecisionStore(away))
        waiting = asyncio.create_task(line.detect(bare()))
        await asyncio.sleep(15)
        assert line.patience.waiting_for == ("redis",)
        assert not waiting.done()
        assert line.analyser.pictures == []
        (output,) = await waiting
        assert decode_detection(output.value).finding == (analysis(),)
        assert away.calls == ["find"] * 21
        assert line.patience.waiting_for == ()

    run(scenario())


async def test_time_that_runs_backwards_is_no_negative_wait():
    line = Pipeline()
    line.clock.at_ms = APPENDED_AT_MS - 60_000
    (output,) = await line.detect(bare())
    assert decode_detection(output.value).queue_ms == 0.0
