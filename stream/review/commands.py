"""Commands: the bytes of a record of the commands topic become a Command, an invalid one, or Poison.

Pure; never raises. An invalid command with a sound `command_id` is answered; a record without one is poison.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import ValidationError

from abuse.review.refusals import CommandErrorCode
from config.validation import fields_at_fault
from stream.events.message.ids import TENANT
from stream.events.message.messages import UNREADABLE_BATCH_HEADER, Poison, Record
from stream.events.wire.cloud_events import Mode, unwrap
from stream.review.kinds.base import ACTOR, COMMAND_ID, NOTE, REASON, Command
from stream.review.kinds.flags import ConfirmFlags, OverrideFlags, ResetCorrelation
from stream.review.kinds.sessions import CancelSession, CreateSession
from stream.review.kinds.subjects import EraseSubject
from stream.review.kinds.switch_rules import SwitchRules

MAX_COMMAND_BYTES = 64 * 1024
BAD_COMMAND = "BAD_COMMAND"

#: Every kind of command by its name, in the order that messages list them.
COMMANDS: dict[str, type[Command]] = {
    kind.name: kind
    for kind in (
        *(ConfirmFlags, OverrideFlags, ResetCorrelation, SwitchRules, EraseSubject),
        *(CreateSession, CancelSession),
    )
}


_WORDS = {"actor": ACTOR, "reason": REASON, "note": NOTE, "tenant": TENANT}


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidCommand:
    """A command that is only known to have a sound `command_id`. The other fields are kept where each by itself is
    sound."""

    command_id: str
    code: CommandErrorCode
    message: str
    name: str | None = None
    actor: str | None = None
    reason: str | None = None
    note: str | None = field(default=None, repr=False)
    tenant: str | None = None


def read(record: Record) -> Command | InvalidCommand | Poison:
    """The command of a record; the same for the same record. The stage and a rebuild call this."""
    if any(name == UNREADABLE_BATCH_HEADER for name, _ in record.headers):
        return Poison(reason=BAD_COMMAND, message="the broker's batch can't be read; its bytes are kept")
    document = _object(record)
    if document is None:
        return Poison(reason=BAD_COMMAND, message="the record is no command: a JSON object of at most 64 KiB")
    command_id = document.get("command_id")
    if not isinstance(command_id, str) or not re.fullmatch(COMMAND_ID, command_id):
        return Poison(reason=BAD_COMMAND, message="command_id is missing or malformed")
    kind = _kind(document)
    if kind is None:
        message = f"command must be one of {', '.join(COMMANDS)}"
        return _invalid(document, command_id, CommandErrorCode.UNKNOWN_COMMAND, message)
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        message = f"missing, unknown or malformed: {', '.join(fields_at_fault(error, 1))}"
        return _invalid(document, command_id, CommandErrorCode.INVALID_COMMAND, message)


def _kind(document: dict[str, Any]) -> type[Command] | None:
    name = document.get("command")
    return COMMANDS.get(name) if isinstance(name, str) else None


def _invalid(document: dict[str, Any], command_id: str, code: CommandErrorCode, message: str) -> InvalidCommand:
    kind = _kind(document)
    words = {name: document.get(name) for name in _WORDS}
    sound = {name: word for name, word in words.items() if isinstance(word, str) and re.fullmatch(_WORDS[name], word)}
    return InvalidCommand(command_id=command_id, code=code, message=message, name=getattr(kind, "name", None), **sound)


def _object(record: Record) -> dict[str, Any] | None:
    """The JSON object of a bare record, or of a CloudEvent of either mode; None if there is none of allowed size."""
    if not record.value or len(record.value) > MAX_COMMAND_BYTES:
        return None
    try:
        document = orjson.loads(record.value)
    except orjson.JSONDecodeError:
        return None
    if unwrap(record.headers).mode is Mode.STRUCTURED and isinstance(document, dict):
        document = document.get("data")
    return document if isinstance(document, dict) else None
