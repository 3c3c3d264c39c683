"""The verdict tables of the two published scales, and what a submission gets that could not be analysed."""

from __future__ import annotations

import pytest

from config.catalogues.error_codes import MEANING, ErrorCode
from config.policy import Policy
from detectors.catalogue import SIGNAL_LABELS
from stream.events.message.messages import Refusal
from stream.pipeline.verdict.verdict import ScoreOutcome, Verdict, VerdictKind, judge, kind_for, score_for, verdict_on
from tests.unit.stream.builders import analysis, reading

POLICY = Policy()
LIVE, SPOOF, UNSURE = VerdictKind.LIVE, VerdictKind.SPOOF, VerdictKind.INCONCLUSIVE

#: confidence -> verdict and score: the knots, the bands at their exact edges, the middle of each piece.
TABLE = [
    *((0.0, SPOOF, 1), (0.0001, SPOOF, 1), (0.27, SPOOF, 30), (0.5399, SPOOF, 59)),
    *((0.54, UNSURE, 60), (0.58 - 0.04, UNSURE, 60), (0.5401, UNSURE, 60), (0.58, UNSURE, 67), (0.6, UNSURE, 71)),
    *((0.6199, UNSURE, 74), (0.62, LIVE, 75), (0.58 + 0.04, LIVE, 75), (0.71, LIVE, 82), (0.7999, LIVE, 89)),
    *((0.8, LIVE, 90), (0.9, LIVE, 95), (0.9999, LIVE, 99), (1.0, LIVE, 100)),
]
OUTCOMES = {LIVE: ScoreOutcome.SUCCESS, UNSURE: ScoreOutcome.REVIEW, SPOOF: ScoreOutcome.FAIL}


@pytest.mark.parametrize(("confidence", "kind", "score"), TABLE)
def test_the_two_scales(confidence, kind, score):
    assert (kind_for(confidence, POLICY), score_for(confidence, POLICY)) == (kind, score)
    verdict = judge(analysis(confidence), POLICY)
    assert (verdict.confidence, verdict.kind, verdict.score) == (round(confidence, 4), kind, score)
    assert (verdict.outcome, verdict.error, verdict.face_detected) == (OUTCOMES[kind], None, True)


def test_the_band_follows_the_policy():
    policy = POLICY.model_copy(
        update={"parameters": POLICY.parameters.model_copy(update={"live_threshold": 0.5}), "inconclusive_band": 0.1}
    )
    table = {0.3999: (SPOOF, 59), 0.4: (UNSURE, 60), 0.5999: (UNSURE, 74), 0.6: (LIVE, 75), 0.8: (LIVE, 90)}
    assert {c: (kind_for(c, policy), score_for(c, policy)) for c in table} == table


def test_the_default_verdict_is_undecided():
    verdict = Verdict()
    assert (verdict.kind, verdict.outcome, verdict.score, verdict.confidence) == (UNSURE, ScoreOutcome.ERROR, 0, None)


def assert_undecided(verdict, error):
    assert (verdict.kind, verdict.outcome, verdict.score, verdict.confidence) == (UNSURE, ScoreOutcome.ERROR, 0, None)
    assert (verdict.error, verdict.reasons[0]) == (error, error.lower())
    assert verdict.advice
    assert [signal.reading.name for signal in verdict.signals] == list(SIGNAL_LABELS)
    assert not any(signal.score or signal.passed for signal in verdict.signals)


@pytest.mark.parametrize("error", ErrorCode)
def test_what_could_not_be_analysed_is_nobodys_failure(error):
    assert_undecided(judge(Refusal(error=error, message="why"), POLICY), error)
    verdict = judge(analysis({}, error=error, message="why", face_detected=False), POLICY)
    assert_undecided(verdict, error)
    assert verdict.message == "why"


def test_the_least_live_frame_decides():
    live, spoof, refused = analysis(0.9), analysis(0.2), analysis({}, error=ErrorCode.NO_FACE_DETECTED, message="why")
    assert verdict_on((live,), POLICY) == judge(live, POLICY)
    assert verdict_on((live, spoof, live), POLICY) == judge(spoof, POLICY)
    assert verdict_on((live, spoof, refused), POLICY) == judge(refused, POLICY)


@pytest.mark.parametrize("values", [{}, dict.fromkeys(SIGNAL_LABELS), {"sharpness": None}])
@pytest.mark.parametrize("face_detected", [True, False])
def test_an_analysis_that_measured_nothing_holds_nothing_against_the_person(values, face_detected):
    verdict = judge(analysis(values, face_detected=face_detected), POLICY)
    assert_undecided(verdict, ErrorCode.INFERENCE_ERROR)
    assert verdict.message == MEANING[ErrorCode.INFERENCE_ERROR][0]
    assert verdict.face_detected is face_detected


def test_reasons_come_costliest_first_and_each_once():
    values = {"sharpness": 0.4, "lbp_texture": 0.3, "fft_deepfake": 0.0, "exif_metadata": None}
    readings = tuple(reading(name, value, reason="flat" if value else "") for name, value in values.items())
    verdict = judge(analysis({}, readings=readings, notes=("bystander", "flat")), POLICY)
    assert verdict.reasons == ("fft_deepfake_low", "flat", "exif_metadata_low", "not_measured", "bystander")


@pytest.mark.parametrize(("value", "asks"), [(0.9, False), (0.0001, True), (0.3, True), (0.58, True)])
def test_only_a_live_verdict_asks_nothing_of_the_person(value, asks):
    verdict = judge(analysis(value, notes=("bystander",)), POLICY)
    assert (bool(verdict.advice), verdict.reasons[-1]) == (asks, "bystander")
