"""A rule switched off while Redis is away: switches read before are not a moment old any more."""

from __future__ import annotations

from config.errors import Unavailable
from tests.unit.stream.builders import analysis
from tests.unit.stream.likenesses import face
from tests.unit.stream.pipeline.abuse_cases import abuse_of, sent


async def test_switched_off_while_redis_is_away(pipeline):
    pipeline.decide_stage.abuse.switches._clock = lambda: 0.0
    await pipeline.decision(sent(1, tenant="bank-1"))  # the worker learns that all rules are on
    pipeline.analyser.found = analysis(template=face(1))
    (output,) = await pipeline.detect(sent(2, tenant="bank-1"))
    enrolled, observed = [], []

    def away_once(made: list[str], call: str, awaited: str) -> None:
        made.extend([call] * (call == awaited))
        if len(made) == 1:
            pipeline.ledger.switched["bank-1"] = {"face_reuse": {"active": False}}
            raise Unavailable("redis", "TimeoutError")

    pipeline.faces._on_call = lambda call: away_once(enrolled, call, "enrol")
    pipeline.ledger._on_call = lambda call: away_once(observed, call, "observe")
    decision = await pipeline.decide(output)
    assert (enrolled, observed, pipeline.faces.buckets) == (["enrol"], ["observe"] * 2, {})
    assert abuse_of(decision)["face_comparison"] is None


async def test_away_for_a_moment(pipeline):
    """The face is compared and enrolled all the same when Redis is back."""
    await pipeline.decision(sent(1, tenant="bank-1"))
    pipeline.analyser.found = analysis(template=face(1))
    asked = []

    def away_once(call: str) -> None:
        asked.append(call)
        if len(asked) == 1:
            raise Unavailable("redis", "TimeoutError")

    pipeline.faces._on_call = away_once
    assert abuse_of(await pipeline.decision(sent(2, tenant="bank-1")))["face_comparison"] is not None
    assert len(pipeline.faces.buckets) == 1
