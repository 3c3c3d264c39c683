"""Refusals: why a command changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class CommandErrorCode(StrEnum):
    """The codes of an audit entry's `error`: a closed table."""

    INVALID_COMMAND = "INVALID_COMMAND"
    UNKNOWN_COMMAND = "UNKNOWN_COMMAND"
    UNKNOWN_FLAG = "UNKNOWN_FLAG"
    NO_OPEN_FLAG = "NO_OPEN_FLAG"
    FLAG_EXPIRED = "FLAG_EXPIRED"
    ALREADY_CONFIRMED = "ALREADY_CONFIRMED"
    ALREADY_OVERRIDDEN = "ALREADY_OVERRIDDEN"
    NOTHING_TO_CHANGE = "NOTHING_TO_CHANGE"
    NOT_PERMITTED = "NOT_PERMITTED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    SESSIONS_OFF = "SESSIONS_OFF"
    HEAD_TURN_REQUIRED = "HEAD_TURN_REQUIRED"
    REQUEST_TOKEN_USED = "REQUEST_TOKEN_USED"  # noqa: S105  # a code, no secret
    CORRELATION_ID_FLAGGED = "CORRELATION_ID_FLAGGED"
    SUBJECT_PAUSED = "SUBJECT_PAUSED"
    SUBJECT_BLOCKED = "SUBJECT_BLOCKED"
    UNKNOWN_SESSION = "UNKNOWN_SESSION"
    SESSION_ENDED = "SESSION_ENDED"


class CommandRefused(Exception):
    """A sound command that changes nothing; the message says why in words, `details` what the sender should know."""

    def __init__(self, code: CommandErrorCode, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.details = dict(details or {})
