"""The verdict on the way of a picture: its flag, what it does to the score, and the two-flag variant."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from config.catalogues.error_codes import ErrorCode
from config.catalogues.injection import INDICATIONS, UNCHECKED
from config.limits.injection import InjectionPolicy
from config.policy import Policy
from detectors.contract import Indication
from stream.events.message.messages import Refusal
from stream.events.wire.detection_codec import decode_detection, encode_detection
from stream.pipeline.decision.decision import decision_event, encode
from stream.pipeline.intake import intake
from stream.pipeline.verdict.advice import BY_REASON
from stream.pipeline.verdict.injection import LivenessFlag, injection_verdict
from stream.pipeline.verdict.verdict import OUTCOME_OF, ScoreOutcome, VerdictKind, outcome_of, verdict_on
from tests.unit.stream.builders import APPENDED_AT_MS, analysis, bare, detection
from tests.unit.stream.fakes import FakeAnalyser, Pipeline
from tests.unit.stream.json_schema import DECISION_SCHEMA, violations

POLICY = Policy()
LIVE, NOT_LIVE, ERROR = LivenessFlag
SUCCESS, REVIEW, FAIL, FAILED = ScoreOutcome
#: Codes that the default policy takes for certain, for enough, and for little.
CERTAIN, ENOUGH, LITTLE = "generator_settings", "capture_software", "no_camera_metadata"


def found(confidence: float, *codes: str):
    return analysis(confidence, indications=tuple(Indication(code=code, detail="found") for code in codes))


FLAGS = [
    ((), LIVE, 1.0),
    ((LITTLE,), LIVE, 0.9),
    ((LITTLE, "screen_size"), LIVE, 0.4),
    (("screen_size", "social_network_copy"), NOT_LIVE, 0.0),
    ((ENOUGH,), NOT_LIVE, 0.0),
    ((CERTAIN, UNCHECKED), NOT_LIVE, 0.0),
    ((UNCHECKED,), ERROR, 1.0),
]


@pytest.mark.parametrize(("codes", "flag", "score"), FLAGS)
def test_weights_add_up(codes, flag, score):
    verdict = injection_verdict((found(0.9, *codes),), POLICY)
    assert (verdict.flag, verdict.score) == (flag, score)
    weights = [each.weight for each in verdict.indications]
    assert weights == sorted((INDICATIONS[code].weight for code in codes), reverse=True)


#: Confidence by the face, indications -> verdict by the score, and outcome of the two flags.
OUTCOMES = [
    (0.9, (), VerdictKind.LIVE, SUCCESS),
    (0.9, (LITTLE, "editor_beside_camera"), VerdictKind.LIVE, SUCCESS),
    (0.9, (ENOUGH,), VerdictKind.INCONCLUSIVE, REVIEW),
    (0.9, (CERTAIN,), VerdictKind.SPOOF, REVIEW),
    (0.9, (UNCHECKED,), VerdictKind.INCONCLUSIVE, FAILED),
    (0.58, (), VerdictKind.INCONCLUSIVE, REVIEW),
    (0.58, (ENOUGH,), VerdictKind.INCONCLUSIVE, FAIL),
    (0.2, (), VerdictKind.SPOOF, REVIEW),
    (0.2, (ENOUGH,), VerdictKind.SPOOF, FAIL),
    (0.2, (UNCHECKED,), VerdictKind.SPOOF, FAILED),
]


@pytest.mark.parametrize(("confidence", "codes", "kind", "by_flags"), OUTCOMES)
def test_outcomes_of_both_variants(confidence, codes, kind, by_flags):
    finding = (found(confidence, *codes),)
    scored, flagged = verdict_on(finding, POLICY), verdict_on(finding, POLICY, encrypted=True)
    assert (scored.kind, scored.outcome, flagged.outcome) == (kind, OUTCOME_OF[kind], by_flags)
    assert scored.face == (LIVE if confidence > 0.62 else NOT_LIVE)
    assert flagged.outcome is outcome_of(flagged.face, flagged.injection.flag)
    for verdict, encrypted in ((scored, False), (flagged, True)):
        event = decision_event(detection(finding, encrypted=encrypted), verdict, POLICY, APPENDED_AT_MS)
        result = orjson.loads(encode(event))["result"]
        assert violations(orjson.loads(encode(event)), DECISION_SCHEMA) == []
        assert result["client"] == {"outcome": result["outcome"], "advice": result["advice"]}
        assert bool(result["advice"]) is (result["verdict"] != "LIVE")


@pytest.mark.parametrize("face", LivenessFlag)
@pytest.mark.parametrize("injection", LivenessFlag)
def test_the_table_of_flags(face, injection):
    without_error = {2: SUCCESS, 1: REVIEW, 0: FAIL}[(face, injection).count(LIVE)]
    assert outcome_of(face, injection) is (FAILED if ERROR in (face, injection) else without_error)


def test_reasons_and_advice_name_what_weighs():
    verdict = verdict_on((found(0.9, LITTLE, "virtual_camera"),), POLICY)
    assert verdict.reasons == ("virtual_camera",)
    assert [advice.code for advice in verdict.advice] == ["own_camera"]
    assert set(INDICATIONS) <= set(BY_REASON)


def test_no_frame_makes_up_for_another():
    """The frame with the lowest confidence decides, and an indication of any frame counts."""
    frames = (found(0.9, ENOUGH), found(0.7, ENOUGH, LITTLE), found(0.65))
    verdict = verdict_on(frames, POLICY)
    assert (verdict.kind, verdict.injection.flag) == (VerdictKind.INCONCLUSIVE, NOT_LIVE)
    assert [each.indication.code for each in verdict.injection.indications] == [ENOUGH, LITTLE]
    assert verdict_on((found(0.9, CERTAIN), found(0.58)), POLICY, encrypted=True).outcome is FAIL


@pytest.mark.parametrize("error", [ErrorCode.NO_FACE_DETECTED, ErrorCode.SERVER_ERROR])
def test_errors_have_both_flags_at_error(error):
    for finding in (Refusal(error=error, message="why"), (analysis({}, error=error, message="why"),)):
        verdict = verdict_on(finding, POLICY, encrypted=True)
        assert (verdict.face, verdict.injection.flag, verdict.outcome) == (ERROR, ERROR, FAILED)


def test_a_policy_weighs_and_switches_off():
    finding = (found(0.9, ENOUGH),)
    lighter = {"weights": {**POLICY.injection.weights.model_dump(), ENOUGH: 0.5}}
    for changes in (lighter, {"active": False}):
        policy = Policy(injection=InjectionPolicy.model_validate(changes))
        assert verdict_on(finding, policy).kind is VerdictKind.LIVE
        assert policy.sha256 != POLICY.sha256
    with pytest.raises(ValueError, match="attack"):
        InjectionPolicy(not_live=3.0)


def test_detections_carry_indications_and_variant():
    sent = detection((found(0.9, ENOUGH),), encrypted=True)
    assert decode_detection(encode_detection(sent)) == sent
    plain = encode_detection(detection((analysis(0.9),)))
    assert not any(word in plain for word in (b"encrypted", b"indications", b"taken_at"))


async def test_capture_times_reach_the_decision():
    """The submission's own time against the camera's, which goes no further than the detect stage."""
    pipeline = Pipeline(FakeAnalyser(analysis(0.9, taken_at="2020-02-02T10:00:00")))
    (sent,) = await pipeline.detect(bare(captured_at="2023-11-14T22:00:00Z"))
    assert b"2020-02-02" not in (sent.value or b"")
    result = orjson.loads((await pipeline.decide(sent)).value or b"")["result"]
    assert [each["code"] for each in result["injection"]["indications"]] == ["taken_at_other_time"]
    assert (result["verdict"], result["injection"]["verdict"]) == ("LIVE", "Live")


async def test_the_variant_goes_with_the_detection(monkeypatch):
    """A submission that was sent encrypted is decided by the two flags; nothing else makes one of another."""
    pipeline = Pipeline(FakeAnalyser(found(0.2)))
    plain = orjson.loads((await pipeline.decision(bare())).value or b"")["result"]
    read = intake.read
    monkeypatch.setattr(intake, "read", lambda *given, **how: replace(read(*given, **how), encrypted=True))
    flagged = orjson.loads((await pipeline.decision(bare(submission_id="sub-2"))).value or b"")["result"]
    assert [(result["variant"], result["outcome"]) for result in (plain, flagged)] == [
        ("score", "FAIL"),
        ("flags", "REVIEW"),
    ]
