"""Refusals: why a command changes nothing."""

from __future__ import annotations

from enum import StrEnum


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


class CommandRefused(Exception):
    """A sound command that changes nothing; the message says why in words."""

    def __init__(self, code: CommandErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
