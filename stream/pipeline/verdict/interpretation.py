"""Interpretation of a confidence: the published table of ranges, in the bounds of the policy."""

from __future__ import annotations

from stream.pipeline.verdict.verdict import STRONG_CONFIDENCE, Verdict, VerdictKind

#: Confidence in [0, 1] below which a SPOOF is strong: the published table's own number.
STRONG_SPOOF_CONFIDENCE = 0.35


def interpretation(verdict: Verdict) -> str:
    """Words on the range of a verdict's confidence, true to what held the verdict back; for the decision."""
    value, injection = verdict.confidence, verdict.injection
    if verdict.error is not None or value is None:
        return "No result: the picture could not be judged, which is no failure of the person."
    if verdict.active is not None:
        return next(words for least, words in _ACTIVE if verdict.active.score >= least)
    if verdict.kind is VerdictKind.LIVE:
        strong = value >= STRONG_CONFIDENCE
        return f"{'Strong' if strong else 'Moderate'} LIVE: {_ALL if strong else _MOST}."
    if verdict.kind is VerdictKind.SPOOF:
        if injection.is_attack:
            return "Strong SPOOF: the file itself tells that the picture was not captured as it is."
        if injection.held_by:
            return "SPOOF: the face did not pass, and the picture may have been injected."
        strong = value < STRONG_SPOOF_CONFIDENCE
        return "Strong SPOOF: multiple signals failed." if strong else "Weak: likely SPOOF, but the signals are mixed."
    if injection.held_by:
        return "Borderline: the picture may have been injected. Review, or request a new photo from the camera."
    if verdict.held:
        return "Borderline: held back by a demand that is not met. Request a retake."
    return "Borderline: request a retake."


#: Ranges of the score of an active check, from the highest: the published table.
_ACTIVE = (
    (90.0, "Very high confidence of a live person."),
    (75.0, "High confidence of a live person."),
    (50.0, "Moderate confidence: may warrant a review by a person."),
    (0.0, "Low confidence: likely spoofed."),
)
_ALL, _MOST = "multiple signals confirm a real face", "most signals passed, with minor issues"
