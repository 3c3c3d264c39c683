"""Refusals of submissions by their token or session: one reason each, in words that quote nothing."""

from __future__ import annotations

from enum import StrEnum

from config.catalogues.error_codes import MEANING, ErrorCode
from stream.events.message.messages import Refusal


class SessionRefusal(StrEnum):
    """Reason for a refusal, as a decision has it beside `session_invalid`."""

    TOKEN_MISSING = "session_token_missing"  # noqa: S105  # a reason, no secret
    TOKEN_MALFORMED = "session_token_malformed"  # noqa: S105
    TOKEN_ALGORITHM = "session_token_algorithm"  # noqa: S105
    TOKEN_UNKNOWN_KEY = "session_token_unknown_key"  # noqa: S105
    TOKEN_FORGED = "session_token_forged"  # noqa: S105
    OTHER_INSTALLATION = "session_token_other_installation"
    OTHER_TENANT = "session_token_other_tenant"
    OTHER_CORRELATION_ID = "session_token_other_correlation_id"
    OTHER_SESSION = "session_token_other_session"
    TOKEN_EXPIRED = "session_token_expired"  # noqa: S105
    TOKEN_NOT_YET_VALID = "session_token_not_yet_valid"  # noqa: S105
    UNKNOWN = "session_unknown"
    ENDED = "session_ended"
    CANCELLED = "session_cancelled"
    ATTEMPTS_SPENT = "session_attempts_spent"
    ADDRESS_UNEXPECTED = "session_address_unexpected"


IN_WORDS: dict[SessionRefusal, str] = {
    SessionRefusal.TOKEN_MISSING: "a session token is required",
    SessionRefusal.TOKEN_MALFORMED: "session_token is no token of this service",
    SessionRefusal.TOKEN_ALGORITHM: "session_token is not signed with the one algorithm that counts here",
    SessionRefusal.TOKEN_UNKNOWN_KEY: "session_token is signed with a key that is not, or no longer, in use",
    SessionRefusal.TOKEN_FORGED: "the signature of session_token is wrong",
    SessionRefusal.OTHER_INSTALLATION: "session_token is of another installation",
    SessionRefusal.OTHER_TENANT: "session_token is of another tenant",
    SessionRefusal.OTHER_CORRELATION_ID: "session_token is of another correlation id",
    SessionRefusal.OTHER_SESSION: "session_token is of another session than session_id",
    SessionRefusal.TOKEN_EXPIRED: "session_token has expired",
    SessionRefusal.TOKEN_NOT_YET_VALID: "session_token is not valid yet",
    SessionRefusal.UNKNOWN: "the session is not, or no longer, known",
    SessionRefusal.ENDED: "the session has ended",
    SessionRefusal.CANCELLED: "the session was cancelled",
    SessionRefusal.ATTEMPTS_SPENT: "the attempts of the session are spent",
    SessionRefusal.ADDRESS_UNEXPECTED: "client_ip is missing, or not in the network that the session expects",
}
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
    message = f"{MEANING[error][0]}: {IN_WORDS[reason]}"
    return Refusal(error=error, message=message, counts=reason in OF_THE_HOLDER, reason=str(reason))
