"""Signatures of commands: who sent a command, by a key, whatever the command says of its actor.

Ed25519 over the full name of the commands topic, the time of signing and the command's exact bytes: a command is good
in one installation alone, also where several share a reviewer's key. Three headers carry a signature: `signature`
(base64url), `signature-key` (the key's id) and `signature-time` (UTC milliseconds). A signature is good for a day
around the time at which the broker appended the command; for much longer a command is known by its id, so that a signed
command which somebody sends again changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pybase64

from abuse.event_time import DAY_MS
from abuse.review.refusals import CommandErrorCode
from stream.encryption.reviewer_keys import SigningKey
from stream.events.message.messages import Headers, Record
from stream.review.commands import InvalidCommand
from stream.review.kinds.base import Command
from stream.review.reviewers import Reviewer
from stream.runtime.worded import Worded

SIGNATURE, SIGNATURE_KEY, SIGNATURE_TIME = "signature", "signature-key", "signature-time"
HEADERS = (SIGNATURE, SIGNATURE_KEY, SIGNATURE_TIME)
#: How far the time of signing may be from the time of the record; below the life of a command log's entry.
GOOD_FOR_MS = DAY_MS
_FORMS = (re.compile(rb"[A-Za-z0-9_-]{86}(==)?"), re.compile(rb"[!-~]{1,128}"), re.compile(rb"[0-9]{1,15}"))


class SignatureFault(Worded):
    """Fault of a command that is not obeyed; the value is a metric's label, the words are for dead letters."""

    MISSING = ("missing", "the command is not signed, and LIVENESS_COMMANDS__REQUIRE_SIGNATURE is on")
    MALFORMED = ("malformed", f"the command's signature is malformed: expected {', '.join(HEADERS)}, once each")
    UNKNOWN_KEY = (
        "unknown_key",
        "the command is signed with a key that is not in the file LIVENESS_COMMANDS__REVIEWERS",
    )
    WRONG = ("wrong", "the command's signature is not the one of this command")
    OUT_OF_TIME = ("out_of_time", "the command was signed more than a day before or after it was sent")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSignatures:
    """Check of signatures, called by the command stage and by a rebuild. Pure; `find` gives a reviewer by key id."""

    find: Callable[[str], Reviewer | None] = lambda _: None
    required: bool = False

    def signer(self, record: Record) -> Reviewer | SignatureFault | None:
        """Reviewer whose key signed the record; None for an unsigned one where none is required."""
        given = [[value for name, value in record.headers if name == header] for header in HEADERS]
        if not any(given):
            return SignatureFault.MISSING if self.required else None
        if not all(len(values) == 1 and form.fullmatch(values[0]) for values, form in zip(given, _FORMS, strict=True)):
            return SignatureFault.MALFORMED
        (signature,), (key_id,), (at_ms,) = given
        reviewer = self.find(key_id.decode())
        if reviewer is None:
            return SignatureFault.UNKNOWN_KEY
        message = _message(record.topic, at_ms, record.value or b"")
        if not reviewer.key.verifies(message, pybase64.urlsafe_b64decode(signature[:86] + b"==")):
            return SignatureFault.WRONG
        in_time = abs(record.appended_at_ms - int(at_ms)) <= GOOD_FOR_MS
        return reviewer if in_time else SignatureFault.OUT_OF_TIME


#: For an installation without reviewers' keys.
NO_REVIEWERS = CommandSignatures()


def signed_headers(topic: str, value: bytes, key: SigningKey, at_ms: int) -> Headers:
    """Headers that sign a command's bytes for a topic, by its full name; the sender's side."""
    time = str(at_ms).encode()
    signature = pybase64.urlsafe_b64encode(key.sign(_message(topic, time, value))).rstrip(b"=")
    return tuple(zip(HEADERS, (signature, key.kid.encode(), time), strict=True))


def permitted(command: Command | InvalidCommand, signer: Reviewer | None) -> Command | InvalidCommand:
    """The command, or its refusal where the signer's roles don't hold it."""
    if signer is None or not isinstance(command, Command) or command.name in signer.commands:
        return command
    words = {name: getattr(command, name) for name in ("command_id", "name", "actor", "reason", "note", "tenant")}
    message = "the roles of the key that signed the command don't hold it"
    return InvalidCommand(code=CommandErrorCode.NOT_PERMITTED, message=message, **words)


def signed_by(command: Command | InvalidCommand, signer: Reviewer | None) -> dict[str, object]:
    """The part of an audit entry that says who signed; empty for an unsigned command."""
    if signer is None:
        return {}
    return {"signed_by": {"key": signer.key_id, "actor_matches": command.actor == signer.actor}}


def _message(topic: str, at_ms: bytes, value: bytes) -> bytes:
    return b"\n".join((b"liveness-command-1", topic.encode(), at_ms, value))
