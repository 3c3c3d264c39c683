"""Verdict on an active liveness check: the movements' score, held down by the least live of its frames. Pure.

The score is that of the movements (and of the light challenge); skin texture, spectrum and the presentation-attack
networks are judged on every frame, and the weakest frame counts: a frame that is taken for an attack keeps the score
below the range of a review, a doubtful one below the threshold. The published confidence follows from the score, so
that verdict, confidence and outcome agree as they do for a selfie.
"""

from __future__ import annotations

from collections.abc import Sequence

from config.catalogues.error_codes import ErrorCode
from config.policy import Policy
from detectors.active.assessed import ActiveAssessment, AssessedFrame
from detectors.active.assessment import assess
from detectors.active.reasons import REASONS, ReasonKind
from detectors.contract import Analysis
from stream.events.message.messages import Detection
from stream.events.message.session_terms import FrameContext, SessionTerms
from stream.pipeline.verdict.aggregation import WeighedSignal, held_by, texture_confidence, weigh
from stream.pipeline.verdict.injection import InjectionVerdict, LivenessFlag
from stream.pipeline.verdict.reasons import in_order
from stream.pipeline.verdict.verdict import (
    ActiveScore,
    Verdict,
    VerdictKind,
    interpolate,
    kind_for,
    live_bound,
    spoof_bound,
    undecided,
    with_confidence,
)

#: Scores from which a person reviews, by the document's own table; below is "likely spoofed".
REVIEW_FROM = 50
#: Score in place of one that a reason of attack, or a frame taken for an attack, allows at most.
MOST_OF_ATTACK = REVIEW_FROM - 1
#: Reason of frames that another capture showed before.
SHOWN_BEFORE = "frames_of_another_session"
#: Signal of the borders of a held picture or device.
HELD_MEDIUM = "held_medium"
#: Confidence that keeps a score just below a bound on the lower side of the bound.
_BELOW = 0.001


def active_verdict(
    detection: Detection, policy: Policy, injection: InjectionVerdict, *, face_bound: float | None, shown_before: bool
) -> Verdict:
    """Verdict on an analysed detection whose session asks for an active check. `injection` is of the whole submission.
    `face_bound`: distance up to which the template model sees one person, None where none is known. `shown_before`:
    another capture showed these frames first."""
    terms, analyses = detection.session, detection.finding
    assert terms is not None, "called for a submission with a session"
    assert isinstance(analyses, tuple), "called for an analysed submission"
    failed = next((each for each in analyses if each.error is not None), None)
    if failed is not None and failed.error is not None:
        notes = ("frame_without_face",) if failed.error is ErrorCode.NO_FACE_DETECTED else failed.notes
        return undecided(failed.error, failed.message, policy, face_detected=failed.face_detected, notes=notes)
    frames = assessed_frames(detection, face_bound)
    assessment = assess(frames, terms.challenges, terms.colours, terms.colour_ms, policy.active)
    if assessment.environment_not_supported and not shown_before:
        return undecided(
            ErrorCode.ENVIRONMENT_NOT_SUPPORTED, None, policy, face_detected=True, notes=assessment.reasons
        )
    reasons = (*((SHOWN_BEFORE,) if shown_before else ()), *assessment.reasons)
    return _judged(analyses, assessment, reasons, injection, terms, policy)


def assessed_frames(detection: Detection, face_bound: float | None) -> list[AssessedFrame]:
    """Frames of a detection as the assessment takes them; what the detection doesn't say of a frame is unknown."""
    assert isinstance(detection.finding, tuple), "called for an analysed submission"
    count = len(detection.finding)
    contexts = detection.contexts or (FrameContext(),) * count
    distances, pixels = detection.face_distances or (None,) * count, detection.pixels or (None,) * count
    return [
        AssessedFrame(
            challenge=context.challenge,
            at_ms=context.at_ms,
            colour=context.colour,
            measures=analysis.measures,
            face_distance=None if distance is None or not face_bound else distance / face_bound,
            pixels=digest,
        )
        for analysis, context, distance, digest in zip(detection.finding, contexts, distances, pixels, strict=True)
    ]


def _judged(
    analyses: Sequence[Analysis],
    assessment: ActiveAssessment,
    reasons: tuple[str, ...],
    injection: InjectionVerdict,
    terms: SessionTerms,
    policy: Policy,
) -> Verdict:
    weighed = [weigh(analysis.readings, policy) for analysis in analyses]
    weakest = min(weighed, key=lambda signals: _frame_value(signals, policy))
    value = _frame_value(weakest, policy)
    score = min(assessment.score, _most(value, injection, terms.threshold, policy))
    if any(_is_attack(reason) for reason in reasons):
        score = min(score, MOST_OF_ATTACK)
    # Missing parts of a check never pass, nor a doubtful frame or injection, whatever threshold a session has.
    live = kind_for(value, policy) is VerdictKind.LIVE and not injection.is_attack and not injection.held_by
    passed = score >= terms.threshold and live and not reasons
    held = (*injection.held_by, *reasons)
    notes = analyses[0].notes  # of the frame at rest: those on a turned or smiling face are what was asked for
    verdict = Verdict(
        face_detected=True,
        face=LivenessFlag.LIVE if passed else LivenessFlag.NOT_LIVE,
        injection=injection,
        signals=weakest,
        held=held,
        reasons=in_order(_of_surface(weakest), (*held, *held_by(_of_surface(weakest), policy)), notes),
        active=ActiveScore(
            score=float(score),
            pose_variation=float(assessment.pose_variation_score or 0),
            expression_variation=float(assessment.expression_variation_score or 0),
            completed=assessment.challenges_completed,
        ),
    )
    return with_confidence(verdict, confidence_of(score, terms.threshold, policy, passed=passed), policy)


def confidence_of(score: float, threshold: int, policy: Policy, *, passed: bool) -> float:
    """Confidence in [0, 1] of an active score: from the threshold on LIVE, from 50 on INCONCLUSIVE, below SPOOF."""
    low, high = spoof_bound(policy), live_bound(policy)
    if passed:
        return interpolate(score, [(threshold, high), (100, 1.0)]) if threshold < 100 else 1.0
    if score >= REVIEW_FROM:
        return interpolate(min(score, 100), [(REVIEW_FROM, low), (100, high - _BELOW)])
    return interpolate(score, [(0, 0.0), (REVIEW_FROM, low - _BELOW)])


def _frame_value(signals: Sequence[WeighedSignal], policy: Policy) -> float:
    """Confidence in [0, 1] by a frame's texture and networks, held at the threshold by floors and gates as a selfie's:
    pose, expression and framing of a frame that answers a challenge say nothing against its person."""
    value, threshold = texture_confidence(signals, policy), policy.parameters.live_threshold
    return threshold if value > threshold and held_by(_of_surface(signals), policy) else value


def _most(value: float, injection: InjectionVerdict, threshold: int, policy: Policy) -> int:
    """Highest score beside the weakest frame and an injection."""
    kind = kind_for(value, policy)
    if injection.is_attack or kind is VerdictKind.SPOOF:
        return MOST_OF_ATTACK
    return 100 if kind is VerdictKind.LIVE and not injection.held_by else max(threshold - 1, 0)


def _is_attack(reason: str) -> bool:
    return reason == SHOWN_BEFORE or REASONS[reason].kind is ReasonKind.ATTACK


def _of_surface(signals: Sequence[WeighedSignal]) -> list[WeighedSignal]:
    """Signals of what the camera saw, whatever head and face were doing: texture, networks, borders of a medium."""
    return [each for each in signals if each.of_texture or each.reading.name == HELD_MEDIUM]
