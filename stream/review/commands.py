"""Commands: the bytes of a record of the commands topic become a Command, an invalid one, or Poison.

Pure; never raises. An invalid command that names itself is answered; a record that
names none is poison.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Self

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from abuse.flags.flags import FLAG_ID
from abuse.ledger.ledger import Switches
from abuse.review.erasure import ERASABLE
from abuse.review.reviews import RefusalCode, Target
from abuse.subjects import HASHED_KEY, Subject, SubjectType
from config.abuse import RULE_NAMES
from stream.events.cloud_events import Mode, unwrap
from stream.events.ids import SHORT_TEXT, SUBMISSION_ID, TENANT, canonical_guid
from stream.events.messages import UNREADABLE_BATCH_HEADER, Poison, Record

MAX_COMMAND_BYTES = 64 * 1024
# What a sender may say; `TENANT` is as in submissions.
#: With a flag id before it, still an id that any receiver takes.
COMMAND_ID = SUBMISSION_ID
ACTOR = SHORT_TEXT
REASON = r"^[a-z0-9_]{1,64}$"
#: No control characters: what is written here is read on terminals.
NOTE = r"^[^\x00-\x1f\x7f-\x9f]{0,1000}$"
BAD_COMMAND = "BAD_COMMAND"


class CommandName(StrEnum):
    CONFIRM = "flag.confirm"
    OVERRIDE = "flag.override"
    RESET = "correlation.reset"
    SETTINGS = "settings.update"
    ERASE = "subject.erase"


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)


class _Subject(_Strict):
    type: Annotated[SubjectType, Field(strict=False)]
    key: Annotated[str, StringConstraints(max_length=64)]
    #: Keys the same device or address had under hash keys replaced a while ago.
    former: Annotated[list[Annotated[str, StringConstraints(pattern=HASHED_KEY)]], Field(max_length=16)] = []

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.type is SubjectType.CORRELATION_ID:
            canonical_guid(self.key)
        elif not re.fullmatch(HASHED_KEY, self.key):
            raise ValueError("expected a hashed key, as decisions and flags have it")
        return self

    def subject(self) -> Subject:
        key = canonical_guid(self.key) if self.type is SubjectType.CORRELATION_ID else self.key
        return Subject(type=self.type, key=key, former=tuple(self.former))


class _Switch(_Strict):
    active: bool | None = None
    enforced: bool | None = None


def _known_rules(rules: dict[str, _Switch]) -> dict[str, _Switch]:
    if not rules or not set(rules) <= set(RULE_NAMES):
        raise ValueError("expected names of rules")
    if not all(switch.model_dump(exclude_none=True) for switch in rules.values()):
        raise ValueError("expected what to switch")
    return rules


class _Common(_Strict):
    command: str
    command_id: Annotated[str, StringConstraints(pattern=COMMAND_ID)]
    actor: Annotated[str, StringConstraints(pattern=ACTOR)]
    reason: Annotated[str, StringConstraints(pattern=REASON)]
    note: Annotated[str, StringConstraints(pattern=NOTE)] = ""
    tenant: Annotated[str, StringConstraints(pattern=TENANT)] | None = None


class _Review(_Common):
    flag_id: Annotated[str, StringConstraints(pattern=FLAG_ID)] | None = None
    subject: _Subject | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.flag_id is None) == (self.subject is None):
            raise ValueError("expected either flag_id or subject")
        return self


class _Reset(_Common):
    correlation_id: Annotated[str, AfterValidator(canonical_guid)]


def _erasable(subject: _Subject) -> _Subject:
    if subject.type not in ERASABLE:
        raise ValueError("expected a correlation id, a device, an address or a prefix")
    return subject


class _Erase(_Common):
    subject: Annotated[_Subject, AfterValidator(_erasable)]


class _Settings(_Common):
    rules: Annotated[dict[str, _Switch], AfterValidator(_known_rules)]


_MODEL: dict[CommandName, type[_Common]] = {
    CommandName.CONFIRM: _Review,
    CommandName.OVERRIDE: _Review,
    CommandName.RESET: _Reset,
    CommandName.SETTINGS: _Settings,
    CommandName.ERASE: _Erase,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command. What it doesn't need is unset."""

    name: CommandName
    command_id: str
    actor: str
    reason: str
    note: str = field(repr=False)
    tenant: str | None
    target: Target = field(default_factory=Target)
    correlation_id: str | None = None
    switches: Switches = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidCommand:
    """It names itself, and nothing more is sure: the rest is what of it is legal, each looked at by itself."""

    command_id: str
    code: RefusalCode
    message: str
    name: CommandName | None = None
    actor: str | None = None
    reason: str | None = None
    note: str | None = field(default=None, repr=False)
    tenant: str | None = None


def read(record: Record) -> Command | InvalidCommand | Poison:
    if any(name == UNREADABLE_BATCH_HEADER for name, _ in record.headers):
        return Poison(reason=BAD_COMMAND, message="the broker's batch can't be read; its bytes are kept")
    document = _object(record)
    if document is None:
        return Poison(reason=BAD_COMMAND, message="the record is no command: a JSON object of at most 64 KiB")
    command_id = document.get("command_id")
    if not isinstance(command_id, str) or not re.fullmatch(COMMAND_ID, command_id):
        return Poison(reason=BAD_COMMAND, message="command_id is missing or malformed")
    name = _name(document)
    if name is None:
        message = f"command must be one of {', '.join(CommandName)}"
        return _invalid(document, command_id, RefusalCode.UNKNOWN_COMMAND, message)
    try:
        return _command(name, _MODEL[name].model_validate(document))
    except ValidationError as error:
        message = f"missing, unknown or malformed: {', '.join(_places(error))}"
        return _invalid(document, command_id, RefusalCode.INVALID_COMMAND, message)


def _name(document: dict[str, Any]) -> CommandName | None:
    return next((name for name in CommandName if name == document.get("command")), None)


def _invalid(document: dict[str, Any], command_id: str, code: RefusalCode, message: str) -> InvalidCommand:
    def said(name: str, pattern: str) -> str | None:
        value = document.get(name)
        return value if isinstance(value, str) and re.fullmatch(pattern, value) else None

    return InvalidCommand(
        command_id=command_id,
        code=code,
        message=message,
        name=_name(document),
        actor=said("actor", ACTOR),
        reason=said("reason", REASON),
        note=said("note", NOTE),
        tenant=said("tenant", TENANT),
    )


def _object(record: Record) -> dict[str, Any] | None:
    """A bare object, or one in a CloudEvent of either mode."""
    if not record.value or len(record.value) > MAX_COMMAND_BYTES:
        return None
    try:
        document = orjson.loads(record.value)
    except orjson.JSONDecodeError:
        return None
    if unwrap(record.headers).mode is Mode.STRUCTURED and isinstance(document, dict):
        document = document.get("data")
    return document if isinstance(document, dict) else None


def _command(name: CommandName, model: _Common) -> Command:
    target, correlation_id, switches = Target(), None, {}
    if isinstance(model, _Review):
        subject = None if model.subject is None else model.subject.subject()
        target = Target(flag_id=model.flag_id, subject=subject)
    elif isinstance(model, _Reset):
        correlation_id = model.correlation_id
    elif isinstance(model, _Erase):
        target = Target(subject=model.subject.subject())
    elif isinstance(model, _Settings):
        switches = {rule: switch.model_dump(exclude_none=True) for rule, switch in model.rules.items()}
    return Command(
        name=name,
        command_id=model.command_id,
        actor=model.actor,
        reason=model.reason,
        note=model.note,
        tenant=model.tenant,
        target=target,
        correlation_id=correlation_id,
        switches=switches,
    )


def _places(error: ValidationError) -> list[str]:
    """The fields at fault, by their outermost name: further in, names may be a stranger's, as an unknown field's is."""
    places = set()
    for item in error.errors(include_input=False, include_url=False):
        unknown = item["type"] == "extra_forbidden"
        path = item["loc"][:-1] if unknown else item["loc"]
        what = str(path[0]) if path else "an unknown field" if unknown else item["msg"].removeprefix("Value error, ")
        places.add(what)
    return sorted(places)
