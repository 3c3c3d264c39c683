"""Liveness result: the published measures of a liveness check, the same fields in every mode. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from config.catalogues.challenges import Challenge
from stream.events.message.messages import Detection
from stream.events.message.session_terms import DEFAULT_THRESHOLD, LivenessMode
from stream.pipeline.verdict.verdict import ActiveScore, Verdict, VerdictKind


@dataclass(frozen=True, slots=True, kw_only=True)
class LivenessResult:
    """Liveness result of a submission: scores from 0 to 100, 100 = live. `pose_variation_score` and
    `expression_variation_score` are 0 where no movement was asked for."""

    liveness_mode: LivenessMode
    liveness_score: float
    liveness_passed: bool
    liveness_threshold: int
    challenges_completed: tuple[Challenge, ...] = ()
    frames_captured: int
    pose_variation_score: float = 0.0
    expression_variation_score: float = 0.0


def liveness_result(detection: Detection, verdict: Verdict) -> LivenessResult:
    """Liveness result of a decided submission: of the active check where one was made, else of the verdict, which
    passes as LIVE with a score that reaches the session's threshold."""
    terms, active = detection.session, verdict.active
    threshold = DEFAULT_THRESHOLD if terms is None else terms.threshold
    live = verdict.kind is VerdictKind.LIVE
    if active is None:
        active = ActiveScore(score=float(verdict.score), pose_variation=0.0, expression_variation=0.0, completed=())
        live = live and verdict.score >= threshold
    return LivenessResult(
        liveness_mode=LivenessMode.PASSIVE if terms is None else terms.mode,
        liveness_score=active.score,
        liveness_passed=live,
        liveness_threshold=threshold,
        challenges_completed=active.completed,
        frames_captured=len(detection.finding) if isinstance(detection.finding, tuple) else 0,
        pose_variation_score=active.pose_variation,
        expression_variation_score=active.expression_variation,
    )
