"""Detections played again after Redis forgot the decision: set aside; a detection that waited is decided."""

from __future__ import annotations

from dataclasses import replace

import pytest

from abuse.event_time import DAY_MS
from stream.events.authentication.forgeries import NOT_AUTHENTIC, Forgeries
from stream.events.message.messages import Fault
from stream.events.topics import Topic
from stream.events.wire.dead_letter import DeadLetters
from stream.pipeline.decision.replays import LEAST_MS, Replays
from tests.unit.stream.builders import APPENDED_AT_MS, bare, ids, record
from tests.unit.stream.fakes import Pipeline

FORGERIES = Forgeries(Topic.DETECTIONS, DeadLetters(topic="letters", max_bytes=1000_000))
#: How long decisions are held, how long after its submission a detection is appended, by whose time -> is it a replay.
CASES = {
    "at once": (LEAST_MS, 0, True, False),
    "just in time": (LEAST_MS, LEAST_MS, True, False),
    "decision forgotten": (LEAST_MS, LEAST_MS + 1, True, True),
    "decision held for long": (9 * DAY_MS, 9 * DAY_MS, True, False),
    "a sound one, decisions held for an hour": (DAY_MS // 24, DAY_MS + DAY_MS // 24, True, False),
    "time by the sender": (LEAST_MS, LEAST_MS + 1, False, False),
}


@pytest.mark.parametrize(("kept_ms", "late_ms", "by_broker", "is_replay"), CASES.values(), ids=CASES)
async def test_played_again(kept_ms: int, late_ms: int, by_broker: bool, is_replay: bool) -> None:
    pipeline = Pipeline()
    stage = replace(pipeline.decide_stage, replays=Replays(forgeries=FORGERIES, decisions_kept_ms=kept_ms))
    (made,) = await pipeline.detect(bare())
    given = record(made.value, made.headers, made.key)
    given = replace(given, appended_at_ms=APPENDED_AT_MS + late_ms, dated_by_broker=by_broker)
    (output,) = await stage.handle(given)
    answers = await stage.answer(given)
    assert (output.fault is Fault.FORGED) == is_replay == (await pipeline.store.find(ids()) is None)
    assert (dict(output.headers).get("reason") == NOT_AUTHENTIC.encode()) == is_replay
    assert [answer.topic for answer in answers] == ([] if is_replay else ["decisions"])
