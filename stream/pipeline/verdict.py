"""Verdict: readings and a policy become LIVE, SPOOF or INCONCLUSIVE, a score, reasons and advice. Pure.

Two published scales are kept in step. Confidence in [0, 1] decides: LIVE (bona fide) from threshold + band, SPOOF
(presentation or injection attack) below threshold - band, INCONCLUSIVE between. The 0-100 score is piecewise linear in
the confidence, so that LIVE is SUCCESS, INCONCLUSIVE is REVIEW and SPOOF is FAIL; 0 is a non-response, outcome ERROR.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from config.error_codes import MEANING, ErrorCode
from config.policy import Policy
from detectors.contract import Analysis, ReadingStatus
from stream.events.messages import Refusal
from stream.pipeline.advice import Advice, advice_for
from stream.pipeline.aggregation import WeighedSignal, confidence, held_by, weigh


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
#: Floating-point sums such as 0.58 + 0.04 miss their decimal value by less than this.
EPSILON = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Verdict on one submission with score, signals, reasons and advice. The default is undecided."""

    kind: VerdictKind = VerdictKind.INCONCLUSIVE
    outcome: ScoreOutcome = ScoreOutcome.ERROR
    score: int = 0
    confidence: float | None = None
    face_detected: bool = False
    signals: tuple[WeighedSignal, ...] = ()
    reasons: tuple[str, ...] = ()
    advice: tuple[Advice, ...] = ()
    error: ErrorCode | None = None
    message: str = ""


def judge(finding: Analysis | Refusal, policy: Policy) -> Verdict:
    """Verdict on one frame's analysis; a refusal, or an analysis that ended in an error, is INCONCLUSIVE."""
    if isinstance(finding, Refusal):
        return _undecided(finding.error, finding.message, policy)
    if finding.error is not None:
        face_detected, notes = finding.face_detected, finding.notes
        return _undecided(finding.error, finding.message, policy, face_detected=face_detected, notes=notes)
    signals = weigh(finding.readings, policy)
    if not any(signal.reading.status is ReadingStatus.SCORED for signal in signals):
        # Nothing was measured, so there is nothing to hold against the person.
        error = ErrorCode.INFERENCE_ERROR
        return _undecided(error, MEANING[error][0], policy, face_detected=finding.face_detected)
    value, held = confidence(signals, policy), held_by(signals, policy)
    if held:
        value = min(value, policy.parameters.live_threshold)
    kind = kind_for(value, policy)
    reasons = _reasons(signals, held, finding.notes)
    return Verdict(
        kind=kind,
        outcome=OUTCOME_OF[kind],
        score=score_for(value, policy),
        confidence=value,
        face_detected=finding.face_detected,
        signals=signals,
        reasons=reasons,
        advice=() if kind is VerdictKind.LIVE else advice_for(reasons),
    )


def verdict_on(finding: tuple[Analysis, ...] | Refusal, policy: Policy) -> Verdict:
    """Verdict on a submission: the verdict on the least live frame, so that no frame can make up for another.

    An analysis that ended in an error has no confidence and outranks every scored frame.
    """
    if isinstance(finding, Refusal):
        return judge(finding, policy)
    verdicts = [judge(analysis, policy) for analysis in finding]
    return min(verdicts, key=lambda verdict: -1.0 if verdict.confidence is None else verdict.confidence)


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
    return min(max(int(_interpolate(value, knots) + EPSILON), floor), ceiling)


def _interpolate(value: float, knots: list[tuple[float, float]]) -> float:
    for (x0, y0), (x1, y1) in pairwise(knots):
        if value <= x1:
            return y0 + (y1 - y0) * (value - x0) / (x1 - x0)
    return knots[-1][1]


def _band(policy: Policy) -> tuple[float, float]:
    threshold, band = policy.parameters.live_threshold, policy.inconclusive_band
    return threshold - band, threshold + band


def _reasons(signals: tuple[WeighedSignal, ...], held: tuple[str, ...], notes: tuple[str, ...]) -> tuple[str, ...]:
    """Reasons that held the verdict back, then those that lowered the confidence, costliest first, then the notes,
    which moved no score; each once."""
    failed = sorted((s for s in signals if s.weight and not s.passed), key=lambda s: s.shortfall, reverse=True)
    return tuple(dict.fromkeys([*held, *(signal.failure for signal in failed), *notes]))


def _undecided(
    error: ErrorCode, message: str, policy: Policy, *, face_detected: bool = False, notes: tuple[str, ...] = ()
) -> Verdict:
    """Verdict beside an error; advice follows the notes, which say more than the error's code, where there are any."""
    reasons = (error.lower(), *notes)
    return Verdict(
        face_detected=face_detected,
        signals=weigh((), policy),
        reasons=reasons,
        advice=advice_for(notes or reasons),
        error=error,
        message=message,
    )
