"""The verdict by the terms of a session: too much light, movements, weak frames, and frames shown before."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from config.catalogues.error_codes import ErrorCode
from config.policy import Policy
from detectors.active.reasons import REASONS
from detectors.catalogue import SIGNAL_LABELS
from detectors.contract import Indication
from stream.events.message.messages import Refusal
from stream.events.message.session_terms import FrameContext, LivenessMode, SessionTerms
from stream.pipeline.admission.session_refusals import OTHER_CHECK
from stream.pipeline.verdict.active_verdict import SHOWN_BEFORE, active_verdict, confidence_of
from stream.pipeline.verdict.advice import BY_REASON
from stream.pipeline.verdict.counterfactuals import counterfactual
from stream.pipeline.verdict.injection import injection_verdict
from stream.pipeline.verdict.liveness_result import liveness_result
from stream.pipeline.verdict.session_verdict import session_verdict
from stream.pipeline.verdict.verdict import OUTCOME_OF, VerdictKind, kind_for
from tests.unit.detectors.active import heads
from tests.unit.stream.builders import analysis, detection

POLICY = Policy()
ORDER = ("head_left", "smile", "blink")
TERMS = SessionTerms(
    session_id="ls_1",
    mode=LivenessMode.ACTIVE,
    active=True,
    threshold=75,
    challenges=ORDER,
    attempt=1,
    attempts_allowed=1,
)
PASSIVE = replace(TERMS, mode=LivenessMode.PASSIVE, active=False, challenges=())
BOUND = 0.6


def checked(frames=None, *, terms=TERMS, liveness=0.95, weak=None, **changes):
    """Detection of an active check; `weak` replaces the analysis of the frame with this number."""
    frames = heads.capture(*ORDER) if frames is None else frames
    found = [replace(analysis(liveness), measures=each.measures) for each in frames]
    for number, each in (weak or {}).items():
        found[number] = replace(each, measures=frames[number].measures)
    contexts = tuple(FrameContext(challenge=each.challenge, at_ms=each.at_ms, colour=each.colour) for each in frames)
    return detection(
        tuple(found),
        session=terms,
        contexts=contexts,
        face_distances=tuple(None if each.face_distance is None else each.face_distance * BOUND for each in frames),
        pixels=tuple(each.pixels for each in frames),
        **changes,
    )


def judged(found, *, shown_before=False, policy=POLICY):
    return session_verdict(found, found.finding, policy, face_bound=BOUND, shown_before=shown_before)


def test_a_head_that_does_as_asked_passes():
    found = checked()
    verdict = judged(found)
    assert (verdict.kind, verdict.error, verdict.reasons) == (VerdictKind.LIVE, None, ())
    result = liveness_result(found, verdict)
    assert (result.liveness_passed, result.challenges_completed, result.frames_captured) == (
        True,
        ORDER,
        len(found.finding),
    )
    assert result.liveness_score >= 75
    assert min(result.pose_variation_score, result.expression_variation_score) >= 75
    assert result.liveness_score == int((result.pose_variation_score + result.expression_variation_score) / 2)


TEXTURE = {"lbp_texture": 0.05, "fft_deepfake": 0.05}
LOW = {
    "an attack's texture in one frame": (checked(weak={4: analysis(dict.fromkeys(SIGNAL_LABELS, 0.95) | TEXTURE)}), 49),
    "a doubtful texture in one frame": (
        checked(weak={4: analysis(dict.fromkeys(SIGNAL_LABELS, 0.95) | {"lbp_texture": 0.6, "fft_deepfake": 0.55})}),
        74,
    ),
}


@pytest.mark.parametrize(("found", "most"), LOW.values(), ids=LOW)
def test_weakest_frame_counts(found, most):
    verdict = judged(found)
    assert verdict.active.score <= most
    assert verdict.kind is (VerdictKind.SPOOF if most < 50 else VerdictKind.INCONCLUSIVE)
    assert not liveness_result(found, verdict).liveness_passed


def test_pose_and_eyes_of_a_frame_are_no_evidence():
    """A turned head and closed eyes are what was asked for."""
    turned = analysis(dict.fromkeys(SIGNAL_LABELS, 0.95) | {"head_pose": 0.0, "eye_aspect_ratio": 0.0})
    assert judged(checked(weak={3: turned})).kind is VerdictKind.LIVE


def test_gates_of_the_eyes_hold_no_blink():
    """A policy's gate on open eyes is for selfies; one on a held medium holds every frame."""
    policy = POLICY.model_copy(update={"gates": {"eye_aspect_ratio": 0.5, "held_medium": 0.5}})
    shut = analysis(dict.fromkeys(SIGNAL_LABELS, 0.95) | {"eye_aspect_ratio": 0.0, "held_medium": 0.9})
    framed = analysis(dict.fromkeys(SIGNAL_LABELS, 0.95) | {"held_medium": 0.1})
    assert judged(checked(liveness=0.95, weak=dict.fromkeys(range(8), shut)), policy=policy).kind is VerdictKind.LIVE
    held = judged(checked(weak={**dict.fromkeys(range(8), shut), 6: framed}), policy=policy)
    assert (held.kind, "held_medium_low" in held.reasons) == (VerdictKind.INCONCLUSIVE, True)


def test_missing_texture_lowers():
    """A surface that was not measured counts as not live."""
    blind = analysis(dict.fromkeys(SIGNAL_LABELS, 0.95) | {"lbp_texture": None, "fft_deepfake": None})
    assert judged(checked(weak={2: blind})).kind is VerdictKind.SPOOF


@pytest.mark.parametrize("error", [ErrorCode.NO_FACE_DETECTED, ErrorCode.MULTIPLE_FACES, ErrorCode.INFERENCE_ERROR])
def test_frame_without_an_analysis(error):
    verdict = judged(checked(weak={5: analysis({}, error=error, message="m", face_detected=False)}))
    assert (verdict.kind, verdict.error, verdict.active) == (VerdictKind.INCONCLUSIVE, error, None)
    assert ("frame_without_face" in verdict.reasons) is (error is ErrorCode.NO_FACE_DETECTED)


def test_frames_of_another_session():
    verdict = judged(checked(), shown_before=True)
    assert (verdict.kind, verdict.reasons[0]) == (VerdictKind.SPOOF, "frames_of_another_session")
    assert verdict.active.score < 50


def test_other_face_between_frames():
    frames = heads.capture(*ORDER)
    frames = [replace(each, face_distance=1.5) if number == 6 else each for number, each in enumerate(frames)]
    verdict = judged(checked(frames))
    assert (verdict.kind, verdict.reasons[0]) == (VerdictKind.SPOOF, "different_face_between_frames")


def test_faces_that_were_not_compared_do_not_pass():
    found = replace(checked(), face_distances=())
    assert not liveness_result(found, judged(found)).liveness_passed
    known = checked()
    unknown = session_verdict(known, known.finding, POLICY, face_bound=None)
    assert unknown.kind is not VerdictKind.LIVE


@pytest.mark.parametrize(("threshold", "passes"), [(0, True), (40, True), (75, True), (90, False)])
def test_threshold_of_the_session(threshold, passes):
    """A frame of eight is not measured, which costs an eighth of the score."""
    frames = heads.capture(*ORDER)
    frames[1] = replace(frames[1], measures=None)
    found = checked(frames, terms=replace(TERMS, threshold=threshold))
    verdict = judged(found)
    assert verdict.active.score == 87
    assert liveness_result(found, verdict).liveness_passed is passes


def test_missing_challenge_passes_no_threshold():
    """A low threshold is no reason to leave out a movement."""
    frames = [
        each if each.challenge != "smile" else replace(each, challenge="neutral") for each in heads.capture(*ORDER)
    ]
    verdict = judged(checked(frames, terms=replace(TERMS, threshold=10)))
    assert verdict.kind is not VerdictKind.LIVE


@pytest.mark.parametrize("threshold", [0, 30, 49])
@pytest.mark.parametrize("liveness", [0.05, 0.58])
def test_weak_frame_passes_no_threshold(threshold, liveness):
    """A low threshold asks for less movement; a frame that is no live one passes none."""
    found = checked(weak={4: analysis(liveness)}, terms=replace(TERMS, threshold=threshold))
    verdict = judged(found)
    assert (verdict.kind, verdict.outcome) == (VerdictKind.SPOOF, OUTCOME_OF[VerdictKind.SPOOF])
    assert not liveness_result(found, verdict).liveness_passed


@pytest.mark.parametrize("code", ["capture_forged", "capture_not_attested"])
def test_injection_passes_no_threshold(code):
    frames = heads.capture(*ORDER)
    indicated = replace(analysis(0.95), indications=(Indication(code=code, detail="found"),))
    found = checked(frames, weak={4: indicated}, terms=replace(TERMS, threshold=0))
    verdict = active_verdict(
        found,
        POLICY,
        injection_verdict(found.finding, POLICY, attested_only=True),
        face_bound=BOUND,
        shown_before=False,
    )
    assert verdict.kind is not VerdictKind.LIVE


@pytest.mark.parametrize("threshold", [0, 30, 50, 51, 75, 99, 100])
def test_scales_agree(threshold):
    """Confidence and verdict of an active score say one thing."""
    for score, clean in product(range(0, 101, 5), (True, False)):
        passed = clean and score >= threshold
        kind = kind_for(confidence_of(score, threshold, POLICY, passed=passed), POLICY)
        expected = VerdictKind.LIVE if passed else VerdictKind.INCONCLUSIVE if score >= 50 else VerdictKind.SPOOF
        assert kind is expected, (score, clean)


BRIGHT = analysis(0.95, notes=("too_bright",))


@pytest.mark.parametrize("mode", [LivenessMode.PASSIVE, LivenessMode.PASSIVE_ACTIVE])
def test_too_much_light_for_a_passive_session(mode):
    found = detection(BRIGHT, session=replace(PASSIVE, mode=mode))
    verdict = judged(found)
    assert (verdict.error, verdict.kind) == (ErrorCode.ENVIRONMENT_NOT_SUPPORTED, VerdictKind.INCONCLUSIVE)
    asked = ["next_step"] if mode is LivenessMode.PASSIVE_ACTIVE else []
    assert [advice.code for advice in verdict.advice] == [*asked, "less_light"]


def test_light_without_a_session_is_judged_as_before():
    verdict = judged(detection(BRIGHT))
    assert verdict.error is None


def test_passive_session_is_judged_as_a_selfie():
    assert judged(detection(analysis(0.95), session=PASSIVE)).kind is VerdictKind.LIVE
    refused = detection(Refusal(error=ErrorCode.SESSION_INVALID, message="m", reason="session_ended"), session=PASSIVE)
    assert judged(refused).reasons == ("session_invalid", "session_ended")


def test_active_verdict_says_no_counterfactual():

    found = checked()
    verdict = active_verdict(
        found, POLICY, injection_verdict(found.finding, POLICY), face_bound=BOUND, shown_before=True
    )
    assert counterfactual(verdict, POLICY) is None


def test_every_reason_has_advice():
    assert {*REASONS, SHOWN_BEFORE, *OTHER_CHECK} <= set(BY_REASON)
