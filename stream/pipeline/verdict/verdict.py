"""Verdict: readings, indications and a policy become LIVE, SPOOF or INCONCLUSIVE, a score, reasons, advice. Pure.

Two published scales are kept in step. Confidence in [0, 1] decides: LIVE (bona fide) from threshold + band, SPOOF
(presentation or injection attack) below threshold - band, INCONCLUSIVE between. The 0-100 score is piecewise linear in
the confidence, so that LIVE is SUCCESS, INCONCLUSIVE is REVIEW and SPOOF is FAIL; 0 is a non-response, outcome ERROR.
An injection that is found lowers the confidence. The outcome of a submission that was sent encrypted follows from two
flags instead, of the face and of the injection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from config.catalogues.challenges import Challenge
from config.catalogues.error_codes import MEANING, ErrorCode
from config.policy import Policy
from detectors.contract import Analysis, ReadingStatus
from stream.events.message.findings import CaptureFinding
from stream.events.message.messages import Refusal
from stream.pipeline.verdict.advice import Advice, advice_for
from stream.pipeline.verdict.aggregation import CONFIDENCE_DIGITS, WeighedSignal, confidence, held_by, weigh
from stream.pipeline.verdict.injection import NOT_CHECKED, InjectionVerdict, LivenessFlag, injection_verdict
from stream.pipeline.verdict.reasons import helpful, in_order


class VerdictKind(StrEnum):
    """Verdict as published: LIVE is classified as bona fide, SPOOF as an attack."""

    LIVE = "LIVE"
    SPOOF = "SPOOF"
    INCONCLUSIVE = "INCONCLUSIVE"


class ScoreOutcome(StrEnum):
    """Outcome on the scale of the score; ERROR is a non-response."""

    SUCCESS = "SUCCESS"
    REVIEW = "REVIEW"
    FAIL = "FAIL"
    ERROR = "ERROR"


OUTCOME_OF = {
    VerdictKind.LIVE: ScoreOutcome.SUCCESS,
    VerdictKind.INCONCLUSIVE: ScoreOutcome.REVIEW,
    VerdictKind.SPOOF: ScoreOutcome.FAIL,
}

SUCCESS_SCORE = 75
REVIEW_SCORE = 60
STRONG_SCORE = 90
STRONG_CONFIDENCE = 0.80
#: The whole scores each kind of verdict can have; flooring a score inside them keeps the two scales agreed.
SCORE_RANGE = {
    VerdictKind.SPOOF: (1, REVIEW_SCORE - 1),
    VerdictKind.INCONCLUSIVE: (REVIEW_SCORE, SUCCESS_SCORE - 1),
    VerdictKind.LIVE: (SUCCESS_SCORE, 100),
}
#: Least confidence by which an injection attack stays below the SPOOF bound.
BELOW_BOUND = 0.01
#: Floating-point sums such as 0.58 + 0.04 miss their decimal value by less than this.
EPSILON = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveScore:
    """Score of an active check and its two halves, each from 0 to 100, and the challenges answered, in their order."""

    score: float
    pose_variation: float
    expression_variation: float
    completed: tuple[Challenge, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Verdict on one submission with score, signals, reasons and advice. The default is undecided.

    `face` is the flag of the presentation alone, `injection` the verdict on the way of the picture. `held` are the
    reasons that keep the verdict from LIVE whatever the signals' sum.
    """

    kind: VerdictKind = VerdictKind.INCONCLUSIVE
    outcome: ScoreOutcome = ScoreOutcome.ERROR
    score: int = 0
    confidence: float | None = None
    face_detected: bool = False
    face: LivenessFlag = LivenessFlag.ERROR
    injection: InjectionVerdict = NOT_CHECKED
    signals: tuple[WeighedSignal, ...] = ()
    held: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    advice: tuple[Advice, ...] = ()
    error: ErrorCode | None = None
    message: str = ""
    #: Held by a detector group: no other reading of ours would have changed the verdict.
    by_groups: bool = False
    #: Of the active check; None where none was made.
    active: ActiveScore | None = None


def judge(finding: Analysis | Refusal, policy: Policy, injection: InjectionVerdict | None = None) -> Verdict:
    """Verdict on one frame's analysis; a refusal, or an analysis that ended in an error, is INCONCLUSIVE. `injection`
    is of the whole submission, by default of this frame alone."""
    if isinstance(finding, Refusal):
        narrower = tuple(filter(None, (finding.reason,)))
        return undecided(finding.error, finding.message, policy, notes=narrower)
    if finding.error is not None:
        face_detected, notes = finding.face_detected, finding.notes
        return undecided(finding.error, finding.message, policy, face_detected=face_detected, notes=notes)
    signals = weigh(finding.readings, policy)
    if not any(signal.reading.status is ReadingStatus.SCORED for signal in signals):
        # Nothing was measured, so there is nothing to hold against the person.
        return undecided(ErrorCode.INFERENCE_ERROR, None, policy, face_detected=finding.face_detected)
    injection = injection or injection_verdict((finding,), policy)
    of_face = face_value(signals, policy)
    held = (*injection.held_by, *held_by(signals, policy))
    verdict = Verdict(
        face_detected=finding.face_detected,
        face=LivenessFlag.LIVE if kind_for(of_face, policy) is VerdictKind.LIVE else LivenessFlag.NOT_LIVE,
        injection=injection,
        signals=signals,
        held=held,
        reasons=in_order(signals, held, finding.notes),
    )
    return with_confidence(verdict, with_injection(of_face, injection, policy), policy)


def verdict_on(
    finding: tuple[Analysis, ...] | Refusal,
    policy: Policy,
    *,
    encrypted: bool = False,
    capture: CaptureFinding | None = None,
    attested_only: bool = False,
) -> Verdict:
    """Verdict on a submission: the verdict on the least live frame, so that no frame can make up for another.

    An analysis that ended in an error has no confidence and outranks every scored frame. `encrypted`: the outcome
    follows from the two flags. `capture` and `attested_only`: as in `injection_verdict`.
    """
    if isinstance(finding, Refusal):
        return judge(finding, policy)
    injection = injection_verdict(finding, policy, capture, attested_only=attested_only)
    verdicts = [judge(analysis, policy, injection) for analysis in finding]
    verdict = min(verdicts, key=_liveness_order)
    return by_flags(verdict, policy) if encrypted else verdict


def _liveness_order(verdict: Verdict) -> tuple[float, bool]:
    """Order of frames, the least live first: an injection can bring several to one confidence, but not their faces."""
    return -1.0 if verdict.confidence is None else verdict.confidence, verdict.face is LivenessFlag.LIVE


def face_value(signals: Sequence[WeighedSignal], policy: Policy) -> float:
    """Confidence in [0, 1] by the presentation alone: the signals' sum, held at the threshold by floors and gates."""
    value, threshold = confidence(signals, policy), policy.parameters.live_threshold
    return threshold if value > threshold and held_by(signals, policy) else value


def with_injection(value: float, injection: InjectionVerdict, policy: Policy) -> float:
    """Confidence lowered by an injection: to the threshold, and below the SPOOF bound where there is no doubt."""
    if injection.is_attack:
        return min(value, max(spoof_bound(policy) - BELOW_BOUND, 0.0))
    return min(value, policy.parameters.live_threshold) if injection.held_by else value


def by_flags(verdict: Verdict, policy: Policy) -> Verdict:
    """Verdict of the two-flag variant: both Live is SUCCESS, both Not Live is FAIL, mixed is REVIEW, Error is ERROR.

    Confidence and verdict agree with the outcome, but for a SPOOF by the face alone, which the table sends to review.
    """
    outcome = outcome_of(verdict.face, verdict.injection.flag)
    if verdict.error is not None or verdict.confidence is None:
        return verdict
    if outcome is ScoreOutcome.ERROR:
        message = "the check for an injection attack could not be made"
        unchecked = undecided(ErrorCode.INFERENCE_ERROR, message, policy, face_detected=verdict.face_detected)
        return replace(unchecked, face=verdict.face, injection=verdict.injection)
    if outcome is ScoreOutcome.FAIL:
        verdict = with_confidence(verdict, min(verdict.confidence, spoof_bound(policy) - BELOW_BOUND), policy)
    elif verdict.face is LivenessFlag.LIVE and verdict.injection.is_attack:
        verdict = with_confidence(verdict, policy.parameters.live_threshold, policy)
    return replace(verdict, outcome=outcome)


def outcome_of(face: LivenessFlag, injection: LivenessFlag) -> ScoreOutcome:
    """Outcome of the two flags, by the table of the injection variant."""
    flags = {face, injection}
    if LivenessFlag.ERROR in flags:
        return ScoreOutcome.ERROR
    if len(flags) > 1:
        return ScoreOutcome.REVIEW
    return ScoreOutcome.SUCCESS if face is LivenessFlag.LIVE else ScoreOutcome.FAIL


def with_confidence(verdict: Verdict, value: float, policy: Policy) -> Verdict:
    """Verdict with what follows from its confidence."""
    value = round(value, CONFIDENCE_DIGITS)
    kind = kind_for(value, policy)
    return replace(
        verdict,
        kind=kind,
        outcome=OUTCOME_OF[kind],
        score=score_for(value, policy),
        confidence=value,
        advice=() if kind is VerdictKind.LIVE else advice_for(helpful(verdict.reasons)),
    )


def refused(verdict: Verdict, refusal: Refusal, policy: Policy) -> Verdict:
    """Verdict on an analysed submission that abuse rules refuse; only `face_detected` of the analysis remains."""
    return replace(judge(refusal, policy), face_detected=verdict.face_detected)


def kind_for(value: float, policy: Policy) -> VerdictKind:
    """Verdict for a confidence in [0, 1]."""
    low, high = _band(policy)
    if value >= high - EPSILON:
        return VerdictKind.LIVE
    return VerdictKind.SPOOF if value < low - EPSILON else VerdictKind.INCONCLUSIVE


def spoof_bound(policy: Policy) -> float:
    """Confidence in [0, 1] below which the verdict is SPOOF."""
    return _band(policy)[0]


def live_bound(policy: Policy) -> float:
    """Confidence in [0, 1] from which the verdict is LIVE."""
    return _band(policy)[1]


def score_for(value: float, policy: Policy) -> int:
    """Score of a confidence in [0, 1]: 1 to 100, since 0 is kept for a non-response."""
    low, high = _band(policy)
    knots = [(0.0, 1.0), (low, REVIEW_SCORE), (high, SUCCESS_SCORE), (STRONG_CONFIDENCE, STRONG_SCORE), (1.0, 100.0)]
    floor, ceiling = SCORE_RANGE[kind_for(value, policy)]
    return min(max(int(interpolate(value, knots) + EPSILON), floor), ceiling)


def interpolate(value: float, knots: Sequence[tuple[float, float]]) -> float:
    """Value of a piecewise linear function through the knots, whose places rise."""
    for (x0, y0), (x1, y1) in pairwise(knots):
        if value <= x1:
            return y0 + (y1 - y0) * (value - x0) / (x1 - x0)
    return knots[-1][1]


def _band(policy: Policy) -> tuple[float, float]:
    threshold, band = policy.parameters.live_threshold, policy.inconclusive_band
    return threshold - band, threshold + band


def undecided(
    error: ErrorCode, message: str | None, policy: Policy, *, face_detected: bool = False, notes: tuple[str, ...] = ()
) -> Verdict:
    """Verdict beside an error, in the table's words unless there are others; advice follows the notes, which say more
    than the error's code, where there are any."""
    reasons = (error.lower(), *notes)
    return Verdict(
        face_detected=face_detected,
        signals=weigh((), policy),
        reasons=reasons,
        advice=advice_for(notes or reasons),
        error=error,
        message=MEANING[error][0] if message is None else message,
    )
