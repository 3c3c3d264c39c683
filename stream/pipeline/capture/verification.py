"""Face verification: is the person in the submission the one of the reference image? A result beside liveness. Pure.

Verification needs a reference image, of the session or of the client; where the session names one by its digest, no
other will do. A face that could not be compared is nobody's match.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from config.catalogues.error_codes import MEANING, ErrorCode
from config.policy import Policy
from stream.events.message.messages import Detection, Refusal, Submission
from stream.events.message.session_terms import SessionTerms

MISSING, OTHER = "reference_missing", "reference_other_than_session"
#: Reason where a worker of an earlier release passed the reference over.
NOT_COMPARED = "reference_not_compared"
#: Digits of a confidence: rates down to one in a million.
DIGITS = 6
_WORDS = {
    MISSING: "the session's reference image is missing",
    OTHER: "the reference image is not the session's",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Verification as published. `match_confidence`: share of pairs of strangers that look less alike; `threshold`: the
    least confidence for `is_identical`, 1 less the false match rate. Both None, with the reason, if not compared."""

    is_identical: bool | None
    match_confidence: float | None
    threshold: float
    false_match_rate: float
    reason: str | None


def verification(detection: Detection, policy: Policy) -> Verification | None:
    """Verification of a detection; None where no reference was given, or nothing was analysed."""
    comparison, terms = detection.verification, detection.session
    if not isinstance(detection.finding, tuple):
        return None
    if comparison is None and (terms is None or not terms.reference_sha256):
        return None
    rate = policy.verification.false_match_rate
    threshold, strangers = round(1 - rate, DIGITS), None if comparison is None else comparison.strangers
    confidence = None if strangers is None else math.floor((1 - strangers) * 10**DIGITS) / 10**DIGITS
    return Verification(
        is_identical=None if confidence is None else confidence >= threshold,
        match_confidence=confidence,
        threshold=threshold,
        false_match_rate=rate,
        reason=NOT_COMPARED if comparison is None else comparison.reason or None,
    )


def session_passed(result: Mapping[str, Any]) -> bool:
    """Whether a session succeeds by the `result` of a decision: the liveness check passed, and where there was a
    reference image the person is the same."""
    verified = result["verification"]
    return result["liveness_passed"] is True and (verified is None or verified["is_identical"] is True)


def reference_refusal(submission: Submission, terms: SessionTerms) -> Refusal | None:
    """Refusal of a submission whose reference image is not the one that the session names; None where it is, or the
    session names none. For the detect stage, before anything is analysed.

    Of a submission that is a record a frame, the record of the first frame has the reference.
    """
    if not terms.reference_sha256 or (submission.part is not None and submission.part.frame_index):
        return None
    reference = submission.reference
    if reference is not None and hashlib.sha256(reference.image).hexdigest() == terms.reference_sha256:
        return None
    reason, error = MISSING if reference is None else OTHER, ErrorCode.SESSION_INVALID
    return Refusal(error=error, message=f"{MEANING[error][0]}: {_WORDS[reason]}", reason=reason)
