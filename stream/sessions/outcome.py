"""The outcome of an attempt, by the decision in force on its submission. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.catalogues.challenges import FEWEST_FRAMES
from config.catalogues.error_codes import ErrorCode
from stream.events.message.session_terms import SessionTerms
from stream.pipeline.admission.session_refusals import OTHER_CHECK
from stream.pipeline.capture.verification import session_passed
from stream.sessions.session import AttemptOutcome

#: Errors for which the person need not be to blame: the attempt is given back.
NOBODYS_FAULT = frozenset(
    {
        ErrorCode.ENVIRONMENT_NOT_SUPPORTED,
        ErrorCode.DETECTOR_TIMEOUT,
        ErrorCode.INFERENCE_ERROR,
        ErrorCode.SERVER_ERROR,
    }
)
#: Fields of a session's result, as the decision has them.
RESULT_FIELDS = (
    *("liveness_mode", "liveness_score", "liveness_passed", "liveness_threshold", "challenges_completed"),
    *("frames_captured", "pose_variation_score", "expression_variation_score", "verification"),
)


def outcome_of(terms: SessionTerms, decision: Mapping[str, Any]) -> AttemptOutcome:
    """Outcome of an attempt. Whatever a decision doesn't say never makes an attempt pass."""
    error = decision["error"]
    if error is not None:
        reasons = decision.get("result", {}).get("reasons", ())
        unspent = error["code"] in NOBODYS_FAULT or not OTHER_CHECK.isdisjoint(reasons)
        return AttemptOutcome.UNSPENT if unspent else AttemptOutcome.FAILED
    return AttemptOutcome.PASSED if session_passed(result_of(terms, decision)) else AttemptOutcome.FAILED


def result_of(terms: SessionTerms, decision: Mapping[str, Any]) -> dict[str, Any]:
    """Result of the session by the decision that ends it. An attempt that was to answer challenges passes with the
    frames for them only: no verdict on one frame makes up for the movements. Nor does a decision on the same submission
    without this session's token, which was made on other terms."""
    result = decision["result"]
    fields = {name: result[name] for name in RESULT_FIELDS}
    passed = result["verdict"] == "LIVE" and fields["liveness_passed"] is True
    enough = not terms.active or fields["frames_captured"] >= FEWEST_FRAMES
    return {**fields, "liveness_passed": passed and enough and _is_of(terms, decision)}


def _is_of(terms: SessionTerms, decision: Mapping[str, Any]) -> bool:
    """Whether a decision was made on a submission with the token of this session: one without a token may name the
    session, and says nothing of a capture."""
    return decision.get("session_id") == terms.session_id and decision["result"].get("capture") is not None
