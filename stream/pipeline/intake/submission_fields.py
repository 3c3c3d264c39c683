"""Fields of a submission besides its image: their rules, their names in each form, and the ones that can't be honoured.

Nothing of a field's content is ever quoted in an error.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from config.catalogues.challenges import FEWEST_FRAMES, MOST_COLOURS, MOST_FRAMES, NEUTRAL, FrameChallenge
from config.validation import fields_at_fault
from stream.encryption.capture_statement import MAX_STATEMENT
from stream.events.message.ids import SUBMISSION_ID, TENANT, ShortText, SubmissionIds, personal_guid
from stream.events.message.messages import CaptureContext
from stream.events.message.session_terms import LATEST_FRAME_MS, FrameContext, FramePart

#: Characters of a session token; one with a key of the client's takes 900.
MAX_TOKEN = 4096
#: An IPv4 address dressed as IPv6 (::ffff:a.b.c.d) begins with so many bits.
IPV4_MAPPED_BITS = 96

_DIGITS = re.compile(r"[0-9]{1,9}", re.ASCII)
_TIMESTAMP = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?$"


def _address(value: str) -> str:
    if "%" in value:
        raise ValueError("an address of one link only names nobody")
    return str(ipaddress.ip_address(value))


def network_of(value: str) -> str:
    """Network of an address or a range; an IPv4-mapped IPv6 range becomes IPv4."""
    if "%" in value:
        raise ValueError("an address of one link only names nobody")
    network = ipaddress.ip_network(value, strict=False)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= IPV4_MAPPED_BITS:
        return str(ipaddress.ip_network((mapped, network.prefixlen - IPV4_MAPPED_BITS)))
    return str(network)


def _moment(value: str) -> str:
    datetime.fromisoformat(value)
    return value


def _number(value: object) -> object:
    """Number of a text of digits, since the attributes of an event are texts; anything else as it is."""
    return int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value


_Number = Annotated[int, BeforeValidator(_number)]
Moment = Annotated[_Number, Field(ge=0, le=LATEST_FRAME_MS)]
ColourIndex = Annotated[_Number, Field(ge=0, lt=MOST_COLOURS)]


class SubmissionFields(BaseModel):
    """Fields of a submission besides its image; unknown ones are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    submission_id: Annotated[str, StringConstraints(pattern=SUBMISSION_ID)]
    correlation_id: Annotated[str, AfterValidator(personal_guid)]
    tenant: Annotated[str, StringConstraints(pattern=TENANT)] | None = None
    session_id: ShortText | None = None
    resource_id: ShortText | None = None
    client_ip: Annotated[str, StringConstraints(max_length=64), AfterValidator(_address)] | None = None
    expected_client_ip: Annotated[str, StringConstraints(max_length=64), AfterValidator(network_of)] | None = None
    device_id: ShortText | None = None
    captured_at: Annotated[str, StringConstraints(pattern=_TIMESTAMP), AfterValidator(_moment)] | None = None
    image_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{64}$")] | None = None
    image_encryption: Literal["JWE"] | bool | None = None
    session_token: Annotated[str, StringConstraints(max_length=MAX_TOKEN)] | None = None
    capture_attestation: Annotated[str, StringConstraints(max_length=MAX_STATEMENT)] | None = None
    frame_index: Annotated[_Number, Field(ge=0, lt=MOST_FRAMES)] | None = None
    frame_count: Annotated[_Number, Field(ge=FEWEST_FRAMES, le=MOST_FRAMES)] | None = None
    frame_challenge: FrameChallenge | None = None
    frame_at_ms: Moment | None = None
    frame_colour: ColourIndex | None = None


class FrameFields(BaseModel):
    """Fields of one of several frames besides its image; unknown ones are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    challenge: FrameChallenge = NEUTRAL
    at_ms: Moment | None = None
    colour: ColourIndex | None = None


#: Fields that only a submission with a session's token may have.
OF_SESSION = frozenset(
    {
        *("session_token", "capture_attestation", "reference_image", "frames", "frame_index", "frame_count"),
        *("frame_challenge", "frame_at_ms", "frame_colour"),
    }
)
#: Fields that ask for what is not here yet. A verdict that passed one over would answer another question.
NOT_HONOURED = frozenset(("liveness_mode", "liveness_threshold", "liveness_challenges", "dataref"))
#: The mode of a submission without a session.
_PASSIVE = {"liveness_mode": "passive"}

FIELD_NAMES = frozenset(SubmissionFields.model_fields) | NOT_HONOURED | OF_SESSION

#: CloudEvents attribute -> field.
NAMED_BY_ENVELOPE = {"subject": "submission_id"} | {
    name.replace("_", ""): name for name in sorted(FIELD_NAMES - {"submission_id"})
}

ID_NAMES = tuple(each.name for each in fields(SubmissionIds))
CONTEXT_NAMES = tuple(each.name for each in fields(CaptureContext))
#: One check a field, so that a valid one is kept beside an invalid one.
_CHECKS: dict[str, TypeAdapter[str | None]] = {
    name: TypeAdapter(SubmissionFields.model_fields[name].rebuild_annotation(), config=ConfigDict(strict=True))
    for name in (*ID_NAMES, *CONTEXT_NAMES)
}


_PART, _PART_NAMES = TypeAdapter(FramePart), ("frame_index", "frame_count")


def given(known: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of ours that hold anything: null and blank text are what publishers send for a field they don't have."""
    ours = {name: known[name] for name in FIELD_NAMES & known.keys()}
    return {name: value for name, value in ours.items() if not is_blank(value)}


def is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def named_by_envelope(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that the attributes of a CloudEvent name; an attribute that is empty or false counts as absent."""
    return {field: attributes.get(name) or None for name, field in NAMED_BY_ENVELOPE.items()}


def not_honoured(known: Mapping[str, Any], *, sessions: bool) -> list[str]:
    """Names of the fields given that ask for what is not here; without `sessions`, also those of a session."""
    refused = NOT_HONOURED if sessions else NOT_HONOURED | OF_SESSION
    return sorted(name for name in refused & known.keys() if known[name] != _PASSIVE.get(name, ...))


def without_session(known: Mapping[str, Any]) -> list[str]:
    """Names of the fields given that need a session's token, where none is given."""
    return [] if "session_token" in known else sorted(OF_SESSION & known.keys())


def valid_fields(known: Mapping[str, Any]) -> dict[str, Any]:
    """Ids and capture context, each by itself; None for a field that is invalid or missing."""
    valid: dict[str, Any] = dict.fromkeys(_CHECKS)
    for name, check in _CHECKS.items():
        with suppress(ValidationError):
            valid[name] = check.validate_python(known.get(name))
    return valid


def valid_part(known: Mapping[str, Any]) -> FramePart | None:
    """Place of a rejected record's frame, so that the record is answered with the rest of its submission; None where
    the place can't be read, or the record claims to hold all frames."""
    place = {name: _number(known.get(name)) for name in _PART_NAMES}
    if "frames" in known or any(type(each) is not int for each in place.values()):
        return None
    try:
        return _PART.validate_json(orjson.dumps(place))
    except (ValidationError, TypeError):  # the latter for a number of more than 64 bits
        return None


def listed_frames(frames: object) -> list[tuple[object, FrameContext]] | str:
    """Image and context of each frame that a submission lists, or in words why they can't be taken."""
    if not isinstance(frames, list) or not FEWEST_FRAMES <= len(frames) <= MOST_FRAMES:
        return f"frames must be a list of {FEWEST_FRAMES} to {MOST_FRAMES} frames"
    found = list[tuple[object, FrameContext]]()
    for number, frame in enumerate(frames):
        try:
            fields = FrameFields.model_validate(frame)
        except ValidationError as error:
            return f"frames: missing or malformed in frame {number}: {', '.join(fields_at_fault(error, 1))}"
        context = FrameContext(challenge=fields.challenge, at_ms=fields.at_ms, colour=fields.colour)
        found.append((frame.get("image"), context))
    return found
