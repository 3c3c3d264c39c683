"""Frames of a submission against what its session asks for: one for a passive check, several for an active one."""

from __future__ import annotations

from config.catalogues.challenges import FEWEST_FRAMES, MOST_FRAMES
from config.catalogues.error_codes import ErrorCode
from stream.events.message.messages import Refusal, Submission
from stream.events.message.session_terms import SessionTerms

WANTS_FRAMES, WANTS_ONE_FRAME = "session_wants_frames", "session_wants_one_frame"
WANTS_ONE_EVENT = "session_wants_one_event"
#: Reasons of a submission that was made for another check than its session's: no attempt is spent.
OTHER_CHECK = frozenset((WANTS_FRAMES, WANTS_ONE_FRAME, WANTS_ONE_EVENT))


def frames_refusal(submission: Submission, terms: SessionTerms, *, keyed: bool) -> Refusal | None:
    """Refusal of a submission that has not the frames its session asks for; None for one that has. Pure; called by the
    detect stage before anything is analysed. `keyed`: there are hash keys, by which faces are compared across records.
    """
    several = submission.part is not None or len(submission.frames) > 1
    if several == terms.active and (submission.part is None or keyed):
        return None
    if several and terms.active:
        message = "frames in records of their own need LIVENESS_ABUSE__HASH_KEYS here: send all frames in one event"
        return Refusal(error=ErrorCode.INVALID_REQUEST, message=message, reason=WANTS_ONE_EVENT, counts=False)
    if terms.active:
        message = f"the session asks for an active check: {FEWEST_FRAMES} to {MOST_FRAMES} frames, not one picture"
        return Refusal(error=ErrorCode.INVALID_REQUEST, message=message, reason=WANTS_FRAMES, counts=False)
    message = "the session asks for a passive check: one picture, not several frames"
    return Refusal(error=ErrorCode.INVALID_REQUEST, message=message, reason=WANTS_ONE_FRAME, counts=False)
