"""Refusals of submissions by their token or session, or by the frames that the session asks for: one reason each, in
words that quote nothing.
"""

from __future__ import annotations

from config.catalogues.challenges import FEWEST_FRAMES, MOST_FRAMES
from config.catalogues.error_codes import MEANING, ErrorCode
from stream.events.message.messages import Refusal, Submission
from stream.events.message.session_terms import SessionTerms
from stream.runtime.worded import Worded


class SessionRefusal(Worded):
    """Reason for a refusal, as a decision has it beside `session_invalid`."""

    TOKEN_MISSING = ("session_token_missing", "a session token is required")
    TOKEN_MALFORMED = ("session_token_malformed", "session_token is no token of this service")
    TOKEN_ALGORITHM = ("session_token_algorithm", "session_token is not signed with the one algorithm that counts here")
    TOKEN_UNKNOWN_KEY = (
        "session_token_unknown_key",
        "session_token is signed with a key that is not, or no longer, in use",
    )
    TOKEN_FORGED = ("session_token_forged", "the signature of session_token is wrong")
    OTHER_INSTALLATION = ("session_token_other_installation", "session_token is of another installation")
    OTHER_TENANT = ("session_token_other_tenant", "session_token is of another tenant")
    OTHER_CORRELATION_ID = ("session_token_other_correlation_id", "session_token is of another correlation id")
    OTHER_SESSION = ("session_token_other_session", "session_token is of another session than session_id")
    TOKEN_EXPIRED = ("session_token_expired", "session_token has expired")
    TOKEN_NOT_YET_VALID = ("session_token_not_yet_valid", "session_token is not valid yet")
    UNKNOWN = ("session_unknown", "the session is not, or no longer, known")
    ENDED = ("session_ended", "the session has ended")
    CANCELLED = ("session_cancelled", "the session was cancelled")
    ATTEMPTS_SPENT = ("session_attempts_spent", "the attempts of the session are spent")
    ADDRESS_UNEXPECTED = (
        "session_address_unexpected",
        "client_ip is missing, or not in the network that the session expects",
    )


#: Reasons met only by a holder of the person's own token. The others may be met by a stranger who knows a correlation
#: id: what strangers send must not get its owner flagged. An unknown session is nobody's doing: Redis may have lost it.
OF_THE_HOLDER = frozenset(
    {
        SessionRefusal.TOKEN_EXPIRED,
        SessionRefusal.ENDED,
        SessionRefusal.CANCELLED,
        SessionRefusal.ATTEMPTS_SPENT,
        SessionRefusal.ADDRESS_UNEXPECTED,
    }
)


def refusal_for(reason: SessionRefusal) -> Refusal:
    """Refusal with the error SESSION_INVALID; no attempt of the session is spent."""
    error = ErrorCode.SESSION_INVALID
    message = f"{MEANING[error][0]}: {reason.words}"
    return Refusal(error=error, message=message, counts=reason in OF_THE_HOLDER, reason=str(reason))


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
