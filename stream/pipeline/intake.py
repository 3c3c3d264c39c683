"""Intake: the bytes of one Kafka record become a Submission, a Rejected submission, or Poison. Pure; never raises.

Every byte is hostile. A record that names a submission is answered with a decision whatever else is wrong; a record
that names none is poison. Nothing of the content is ever quoted in a message.

Ids stand in the event's object or in its envelope (CloudEvents attributes, the record key for the correlation id);
where both name a field, the object's value counts.
"""

from __future__ import annotations

import binascii
import hashlib
import ipaddress
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import fields as fields_of
from datetime import datetime
from typing import Annotated, Any

import orjson
import pybase64
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from config.error_codes import ErrorCode
from config.policy import ImageLimits
from config.validation import fields_at_fault
from detectors.contract import Frame
from detectors.image_format import sniff
from stream.events import cloud_events
from stream.events.cloud_events import Envelope, EnvelopeError, Mode
from stream.events.ids import SUBMISSION_ID, TENANT, ShortText, SubmissionIds, names_nobody, personal_guid
from stream.events.messages import (
    UNREADABLE_BATCH_HEADER,
    CaptureContext,
    Poison,
    Record,
    Refusal,
    Rejected,
    Submission,
)

#: A submission has a dozen fields. Counting separators before parsing keeps a 15 MB event of empty lists
#: from becoming a gigabyte of Python objects; base64 holds none of these characters.
MAX_JSON_SEPARATORS = 2_000

#: An IPv4 address dressed as IPv6 (::ffff:a.b.c.d) begins with so many bits.
IPV4_MAPPED_BITS = 96

UNREADABLE_BATCH = "UNREADABLE_BATCH"

#: CloudEvents attribute -> field.
_NAMED_BY_ENVELOPE = {
    "subject": "submission_id",
    "correlationid": "correlation_id",
    "tenant": "tenant",
    "sessionid": "session_id",
    "sessiontoken": "session_token",
    "resourceid": "resource_id",
    "clientip": "client_ip",
    "expectedclientip": "expected_client_ip",
    "deviceid": "device_id",
    "capturedat": "captured_at",
    "imagesha256": "image_sha256",
}


def _address(value: str) -> str:
    if "%" in value:
        raise ValueError("an address of one link only names nobody")
    return str(ipaddress.ip_address(value))


def _network(value: str) -> str:
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


_TIMESTAMP = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})?$"


class _Fields(BaseModel):
    """Fields of a submission besides its image; unknown ones are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    submission_id: Annotated[str, StringConstraints(pattern=SUBMISSION_ID)]
    correlation_id: Annotated[str, AfterValidator(personal_guid)]
    tenant: Annotated[str, StringConstraints(pattern=TENANT)] | None = None
    session_id: ShortText | None = None
    session_token: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = None
    resource_id: ShortText | None = None
    client_ip: Annotated[str, StringConstraints(max_length=64), AfterValidator(_address)] | None = None
    expected_client_ip: Annotated[str, StringConstraints(max_length=64), AfterValidator(_network)] | None = None
    device_id: ShortText | None = None
    captured_at: Annotated[str, StringConstraints(pattern=_TIMESTAMP), AfterValidator(_moment)] | None = None
    image_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{64}$")] | None = None


@dataclass(frozen=True, slots=True)
class _Picture:
    """Image as a record carries it: raw bytes, base64 text, or nothing usable."""

    image: object
    encrypted: bool = False


class _NotASubmission(Exception):
    """Reason why a record can't become a submission; the words quote nothing of the record."""

    def __init__(self, message: str, error: ErrorCode = ErrorCode.INVALID_REQUEST) -> None:
        super().__init__(message)
        self.message, self.error = message, error


def read(record: Record, limits: ImageLimits) -> Submission | Rejected | Poison:
    """Submission of one record of the submissions topic; for the detect stage."""
    if any(name == UNREADABLE_BATCH_HEADER for name, _ in record.headers):
        return Poison(reason=UNREADABLE_BATCH, message="the broker's batch can't be read; its bytes are kept")
    known: dict[str, Any] = {}
    try:
        picture = _picture_of(record, known)
        return _submission(known, picture, record, limits)
    except _NotASubmission as error:
        return _rejected(known, error, record)


def _picture_of(record: Record, known: dict[str, Any]) -> _Picture:
    """Picture of a record; ids go to `known` as they are found, so that a rejection half-way still names them."""
    if record.key:
        known["correlation_id"] = record.key[:64].decode("utf-8", "replace")
    envelope = cloud_events.unwrap(record.headers)
    if envelope.mode is Mode.BARE:
        return _from_object(_json_object(record.value), known)
    if envelope.mode is Mode.BINARY:
        return _from_binary(envelope, record.value, known)
    event = _json_object(record.value)
    _learn(known, _named_by(event))
    return _from_event(event, event.get("data"), known)


def _learn(known: dict[str, Any], fields: Mapping[str, Any]) -> None:
    known.update({name: value for name, value in fields.items() if value is not None})


def _named_by(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {field: attributes.get(name) or None for name, field in _NAMED_BY_ENVELOPE.items()}


def _from_binary(envelope: Envelope, value: bytes | None, known: dict[str, Any]) -> _Picture:
    attributes = envelope.attributes
    carries_json = envelope.content_type.startswith("application/json")
    _learn(known, _named_by(attributes))
    if not carries_json and attributes.get("subject", "") == "":
        _learn(known, {"submission_id": attributes.get("id")})
    if envelope.unreadable:
        raise _NotASubmission("a ce_ header comes twice or is not UTF-8 text")
    if carries_json:
        return _from_event(attributes, _json_object(value), known)
    _require_envelope(attributes)
    return _Picture(value)


def _from_event(attributes: Mapping[str, Any], data: object, known: dict[str, Any]) -> _Picture:
    picture = _from_object(data, known) if isinstance(data, dict) else None
    _require_envelope(attributes)
    if picture is None:
        raise _NotASubmission("data must be a JSON object")
    return picture


def _require_envelope(attributes: Mapping[str, Any]) -> None:
    try:
        cloud_events.require_submission(attributes)
    except EnvelopeError as error:
        raise _NotASubmission(f"CloudEvents: {error}") from None


def _from_object(document: dict[str, Any], known: dict[str, Any]) -> _Picture:
    if "resourceId" in document and "context" in document:
        return _from_module(document, known)
    picture = _Picture(document.pop("image", None))
    _learn(known, document)
    return picture


def _from_module(document: dict[str, Any], known: dict[str, Any]) -> _Picture:
    """The onboarding module's envelope: `resourceId` names the submission, the record key the person."""
    resource = document["resourceId"]
    _learn(known, {"submission_id": resource, "resource_id": resource})
    try:
        selfie = document["context"]["subject"]["biometrics"][0]
        image = selfie["selfieImage"]
        encrypted = selfie.get("selfieImageEncryption")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise _NotASubmission("context.subject.biometrics[0].selfieImage is missing") from None
    return _Picture(image, encrypted=encrypted is not None and encrypted is not False)


def _json_object(value: bytes | None) -> dict[str, Any]:
    if not value:
        raise _NotASubmission("the record is empty")
    if sum(value.count(mark) for mark in (b",", b"[", b"{")) > MAX_JSON_SEPARATORS:
        raise _NotASubmission("the JSON has more elements than a submission")
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise _NotASubmission("the record is neither JSON nor a CloudEvent") from None
    if not isinstance(document, dict):
        raise _NotASubmission("the JSON is not an object")
    return document


def _submission(known: Mapping[str, Any], picture: _Picture, record: Record, limits: ImageLimits) -> Submission:
    fields = _validated(known)
    if picture.encrypted:
        raise _NotASubmission("the selfie is encrypted and no key is configured", ErrorCode.DECRYPTION_FAILED)
    image = _image_bytes(picture.image, limits)
    digest = hashlib.sha256(image).hexdigest()
    if fields.image_sha256 is not None and fields.image_sha256.lower() != digest:
        raise _NotASubmission("image_sha256 is not the digest of the image")
    ids = SubmissionIds(**{name: getattr(fields, name) for name in _IDS})
    return Submission(
        ids=ids,
        context=CaptureContext(**{name: getattr(fields, name) for name in _CONTEXT}),
        frames=(Frame(image),),
        fingerprint=_fingerprint(ids, digest),
        appended_at_ms=record.appended_at_ms,
    )


def _validated(fields: Mapping[str, Any]) -> _Fields:
    if names_nobody(fields.get("correlation_id")):
        raise _NotASubmission("correlation_id is the nil or the max GUID, which names nobody: make one for each person")
    try:
        return _Fields.model_validate(fields)
    except ValidationError as error:
        raise _NotASubmission(f"missing or malformed: {', '.join(fields_at_fault(error, 1))}") from None


def _image_bytes(image: object, limits: ImageLimits) -> bytes:
    if isinstance(image, str):
        image = _from_base64(image, limits)
    if not isinstance(image, bytes) or not image:
        raise _NotASubmission("image is missing or blank")
    refusal = check_image(image, limits)
    if refusal is not None:
        raise _NotASubmission(refusal.message, refusal.error)
    return image


def check_image(image: bytes, limits: ImageLimits) -> Refusal | None:
    """Refusal of an image by size and format, without decoding; None lets the image through to a slot."""
    if not image:
        return Refusal(error=ErrorCode.INVALID_REQUEST, message="the image is empty")
    if len(image) > limits.max_bytes:
        return Refusal(error=ErrorCode.IMAGE_TOO_LARGE, message=f"the image has more than {limits.max_bytes} bytes")
    if sniff(image) is None:
        return Refusal(error=ErrorCode.UNSUPPORTED_FORMAT, message="the image is not a JPEG, PNG, WebP or BMP file")
    return None


def _from_base64(text: str, limits: ImageLimits) -> bytes:
    text = text.strip()
    if text.startswith("data:"):
        head, comma, text = text.partition(",")
        if not comma or not head.endswith(";base64"):
            raise _NotASubmission("image is a data URL without base64")
    if len(text) // 4 * 3 > limits.max_bytes + 3:
        raise _NotASubmission(f"the image has more than {limits.max_bytes} bytes", ErrorCode.IMAGE_TOO_LARGE)
    try:
        return pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _NotASubmission("image is not valid base64") from None


def _fingerprint(ids: SubmissionIds, digest: str) -> str:
    """Fingerprint: 128 bits over tenant, ids and picture digest; equal only for true duplicates."""
    named = [ids.tenant, ids.submission_id, ids.correlation_id, ids.session_id, ids.resource_id, digest]
    return hashlib.sha256(orjson.dumps(named)).hexdigest()[:32]


_IDS = tuple(each.name for each in fields_of(SubmissionIds))
_CONTEXT = tuple(each.name for each in fields_of(CaptureContext))
#: One check a field, so that a valid one is kept beside an invalid one.
_CHECKS: dict[str, TypeAdapter[str | None]] = {
    name: TypeAdapter(_Fields.model_fields[name].rebuild_annotation(), config=ConfigDict(strict=True))
    for name in (*_IDS, *_CONTEXT)
}


def _rejected(known: Mapping[str, Any], cause: _NotASubmission, record: Record) -> Rejected | Poison:
    """Rejected submission if its id is valid; a record without a valid submission id is poison. Address and device are
    kept as far as they are valid: a picture that can't be analysed is an attempt of their sender as well."""
    valid: dict[str, Any] = dict.fromkeys(_CHECKS)
    for name, check in _CHECKS.items():
        with suppress(ValidationError):
            valid[name] = check.validate_python(known.get(name))
    if valid["submission_id"] is None:
        return Poison(reason=cause.error, message=cause.message)
    ids = SubmissionIds(**{name: valid[name] for name in _IDS})
    digest = hashlib.sha256(cause.error.encode() + (record.value or b"")).hexdigest()
    return Rejected(
        ids=ids,
        context=CaptureContext(**{name: valid[name] for name in _CONTEXT}),
        error=cause.error,
        message=cause.message,
        fingerprint=_fingerprint(ids, digest),
        appended_at_ms=record.appended_at_ms,
    )
