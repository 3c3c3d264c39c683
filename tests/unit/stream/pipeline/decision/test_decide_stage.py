"""Decide stage in a pipeline of fakes: one decision a submission, whatever comes twice, late or at once."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from abuse.ledger.ledger import InMemoryLedger
from config.catalogues.error_codes import ErrorCode
from stream.events.message.messages import AlreadyDecided
from stream.events.wire.detection_codec import encode_detection
from stream.pipeline.decision.decide_stage import BAD_DETECTION_REASON
from stream.pipeline.decision_store import InMemoryDecisionStore
from tests.unit.stream.builders import (
    GUID,
    IMAGE,
    OTHER_IMAGE,
    SECRET,
    analysis,
    bare,
    base64_of,
    binary,
    detection,
    record,
    selfie,
    structured,
)
from tests.unit.stream.fakes import Away, FakeAnalyser, Pipeline
from tests.unit.stream.pipeline.abuse_cases import attacked, code_of, event_of, fifth_failure
from tests.unit.stream.runtime.virtual_time import run

OTHER_CONTENT = bare(image=base64_of(OTHER_IMAGE))


async def test_record_of_decision(pipeline):
    output = await pipeline.decision(bare(tenant="bank-1"))
    assert (output.topic, output.key) == ("decisions", GUID.encode())
    event = event_of(output)
    assert {name: value.decode() for name, value in output.headers} == {
        "ce_specversion": "1.0",
        "ce_type": "liveness.decision.v1",
        "ce_source": "/test",
        "ce_id": event["request_id"],
        "ce_subject": "sub-1",
        "ce_correlationid": GUID,
        "ce_tenant": "bank-1",
        "content-type": "application/json",
    }
    assert event["result"]["verdict"] == "LIVE"


async def test_key_without_correlation_id(pipeline):
    output = await pipeline.decision(bare(correlation_id=...))
    assert (output.key, code_of(output)) == (b"sub-1", "INVALID_REQUEST")
    assert "ce_correlationid" not in dict(output.headers)


@pytest.mark.parametrize(
    ("given", "again", "analysed"),
    [
        (bare(), bare(), [IMAGE]),
        (bare(), binary(), [IMAGE]),
        (bare(), structured(selfie()), [IMAGE]),
        (bare(image="%"), bare(image="%"), []),
    ],
    ids=["bare", "binary", "structured", "rejected"],
)
async def test_duplicate_gets_identical_record(pipeline, given, again, analysed):
    assert await pipeline.decision(given) == await pipeline.decision(again)
    assert pipeline.analyser.pictures == analysed


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_racing_other_content(pipeline, order):
    """The content decided first owns the id, for ever after and in any order."""
    detections = [(await pipeline.detect(bare()))[0], (await pipeline.detect(OTHER_CONTENT))[0]]
    assert len(pipeline.analyser.pictures) == 2
    first, second = [await pipeline.decide(detections[which]) for which in order]
    assert (code_of(first), code_of(second)) == (None, ErrorCode.DUPLICATE_MISMATCH)
    assert event_of(first)["request_id"] != event_of(second)["request_id"]
    assert [await pipeline.decide(detections[which]) for which in reversed(order)] == [second, first]


async def test_no_correlation_id_takes_no_id(pipeline):
    nobody = await pipeline.decision(bare(correlation_id=...))
    assert code_of(await pipeline.decision(bare())) is None
    assert await pipeline.decision(bare(correlation_id=...)) == nobody


async def test_many_contents_under_one_id(pipeline):
    """Each has a decision of its own, and keeps it."""
    contents = [bare(image=base64_of(IMAGE + bytes([number]))) for number in range(5)]
    decisions = [await pipeline.decision(content) for content in contents]
    assert [code_of(decision) for decision in decisions] == [None] + ["DUPLICATE_MISMATCH"] * 4
    assert len({event_of(decision)["request_id"] for decision in decisions}) == 5
    assert [await pipeline.decision(content) for content in contents] == decisions


async def test_mended_submission_needs_new_id(pipeline):
    assert code_of(await pipeline.decision(bare(image="%"))) == "INVALID_REQUEST"
    assert code_of(await pipeline.decision(bare())) == "DUPLICATE_MISMATCH"
    assert code_of(await pipeline.decision(bare(submission_id="sub-2"))) is None


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_workers_sharing_store_agree(order):
    store = InMemoryDecisionStore()
    pipelines = [Pipeline(FakeAnalyser(analysis(value)), store) for value in (0.9, 0.58, 0.1)]
    detections = [(await pipeline.detect(bare()))[0] for pipeline in pipelines]
    decisions = [await pipelines[which].decide(detections[which]) for which in order]
    assert decisions == [decisions[0]] * 3


async def test_expired_decision_stored_again(pipeline):
    first = await pipeline.decision(bare())
    (again,) = await pipeline.detect(bare())
    fresh = Pipeline()  # an empty store: the decision comes with the detection
    assert await fresh.decide(again) == first
    assert await fresh.decision(bare()) == first
    assert fresh.analyser.pictures == []


@pytest.mark.parametrize(("part", "call"), [("store", "put_if_absent"), ("ledger", "observe"), ("ledger", "record")])
def test_nothing_published_while_redis_is_away(part, call):
    async def scenario():
        away = Away(0, only=call)
        pipeline = attacked(**{part: {"store": InMemoryDecisionStore, "ledger": InMemoryLedger}[part](away)})
        last = await fifth_failure(pipeline)
        away.left = 25
        waiting = asyncio.create_task(pipeline.decide(last))
        await asyncio.sleep(20)
        assert (waiting.done(), pipeline.patience.waiting_for) == (False, ("redis",))
        assert code_of(await waiting) is None
        assert (len(pipeline.flags), away.left) == (1, 0)

    run(scenario())


@pytest.mark.parametrize("value", [None, SECRET.encode(), encode_detection(detection(AlreadyDecided(decision=b"{}")))])
async def test_malformed_detection_is_dead_letter(pipeline, value):
    (output,) = await pipeline.decide_stage.handle(record(value, (("ce_tenant", SECRET.encode()),), b"key"))
    assert (output.topic, output.key, output.value) == ("dead", b"key", value)
    headers = dict(output.headers)
    assert headers["reason"] == BAD_DETECTION_REASON.encode()
    assert SECRET not in repr(headers)
