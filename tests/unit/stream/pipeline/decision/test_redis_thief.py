"""Thefts that Redis allows today, and docs/SECURITY.md says so: none of this is noticed."""

from __future__ import annotations

from dataclasses import replace

import orjson

from stream.events.message.ids import SubmissionIds
from stream.pipeline.decision_store import InMemoryDecisionStore
from tests.unit.stream.builders import GUID, bare
from tests.unit.stream.fakes import FakeAnalyser, Pipeline
from tests.unit.stream.pipeline.abuse_cases import BLATANT, code_of, event_of, sent


async def test_planted_decision_is_published() -> None:
    ids, honest = SubmissionIds(submission_id="sub-1", correlation_id=GUID), InMemoryDecisionStore()
    event = event_of(await Pipeline(FakeAnalyser(BLATANT), honest).decision(bare()))
    assert event["result"]["verdict"] != "LIVE"
    event["result"]["verdict"] = "LIVE"
    stored = await honest.find(ids)
    assert stored is not None
    planted = InMemoryDecisionStore()
    await planted.put_if_absent(ids, replace(stored, decision=orjson.dumps(event)))
    assert event_of(await Pipeline(FakeAnalyser(BLATANT), planted).decision(bare())) == event


async def test_removed_keys_lift_a_pause(paused: Pipeline) -> None:
    assert code_of(await paused.decision(sent(6, 5))) == "SUBJECT_PAUSED"
    paused.ledger.journals.clear()
    paused.ledger.fields.clear()
    assert code_of(await paused.decision(sent(7, 6))) is None
