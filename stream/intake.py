"""Intake: the bytes of one Kafka record become a Submission, a Rejected one, or Poison. Pure; never raises.

Every byte is hostile. A record that names a submission is answered with a decision whatever else is wrong
with it; a record that names none is poison. Nothing of the content is ever quoted in a message.
"""

from __future__ import annotations

import binascii
import hashlib
import ipaddress
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
import pybase64
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from config.error_codes import ErrorCode
from config.policy import ImageLimits
from detectors.image_format import sniff
from stream import cloud_events
from stream.cloud_events import EnvelopeError, Mode
from stream.messages import CaptureContext, Poison, Record, Refusal, Rejected, Submission, SubmissionIds

#: A submission has a dozen fields. Counting separators before parsing keeps a 15 MB event of empty lists
#: from becoming a gigabyte of Python objects; base64 holds none of these characters.
MAX_JSON_SEPARATORS = 2_000

_BINARY_EXTENSIONS = {
    "correlationid": "correlation_id",
    "tenant": "tenant",
    "sessionid": "session_id",
    "sessiontoken": "session_token",
    "resourceid": "resource_id",
    "clientip": "client_ip",
    "deviceid": "device_id",
    "capturedat": "captured_at",
    "imagesha256": "image_sha256",
}


def _address(value: str) -> str:
    return str(ipaddress.ip_address(value))


def _guid(value: str) -> str:
    if len(value) not in (32, 36):
        raise ValueError("expected a 128-bit GUID")
    return str(uuid.UUID(value))


SubmissionId = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,128}$")]
ShortText = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,256}$")]


class _Fields(BaseModel):
    """The fields of a submission besides its image; unknown ones are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    submission_id: SubmissionId
    correlation_id: Annotated[str, AfterValidator(_guid)]
    tenant: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None
    session_id: ShortText | None = None
    session_token: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = None
    resource_id: ShortText | None = None
    client_ip: Annotated[str, StringConstraints(max_length=64), AfterValidator(_address)] | None = None
    device_id: ShortText | None = None
    captured_at: (
        Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT[0-9:.]{5,18}(Z|[+-]\d\d:\d\d)?$")] | None
    ) = None
    image_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{64}$")] | None = None


@dataclass(frozen=True, slots=True)
class _Parts:
    """A record taken apart: `image` is raw bytes, base64 text, or nothing usable."""

    fields: dict[str, Any]
    image: object
    encrypted: bool = False


class _Refused(Exception):
    def __init__(self, error: ErrorCode, message: str, fields: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.error = error
        self.message = message
        self.fields = fields


def read(record: Record, limits: ImageLimits) -> Submission | Rejected | Poison:
    """Read one record of the submissions topic."""
    parts: _Parts | None = None
    try:
        parts = _with_key(_take_apart(record), record)
        return _submission(parts, record, limits)
    except _Refused as refused:
        fields = refused.fields if parts is None else parts.fields
        return _rejected(fields or {}, refused, record)


def _take_apart(record: Record) -> _Parts:
    try:
        envelope = cloud_events.unwrap(record.headers)
    except EnvelopeError as error:
        raise _Refused(ErrorCode.INVALID_REQUEST, str(error)) from None
    if envelope.mode is Mode.BINARY and not envelope.content_type.startswith("application/json"):
        return _from_binary(dict(envelope.attributes), record.value or b"")
    document = _json_object(record.value)
    if envelope.mode is Mode.BARE:
        return _from_object(document)
    if envelope.mode is Mode.BINARY:
        return _from_event(dict(envelope.attributes), document)
    return _from_event(document, document.get("data"))


def _from_binary(attributes: dict[str, Any], image: bytes) -> _Parts:
    fields = {name: attributes[header] for header, name in _BINARY_EXTENSIONS.items() if header in attributes}
    fields["submission_id"] = attributes.get("subject") or attributes.get("id")
    _require_envelope(attributes, fields)
    return _Parts(fields, image)


def _from_event(attributes: dict[str, Any], data: object) -> _Parts:
    if not isinstance(data, dict):
        named = {
            "submission_id": attributes.get("subject"),
            "correlation_id": attributes.get("correlationid"),
        }
        _require_envelope(attributes, named)
        raise _Refused(ErrorCode.INVALID_REQUEST, "data must be a JSON object", named)
    parts = _from_object(data)
    _require_envelope(attributes, parts.fields)
    return parts


def _require_envelope(attributes: dict[str, Any], fields: Mapping[str, Any]) -> None:
    try:
        cloud_events.require_submission(attributes)
    except EnvelopeError as error:
        raise _Refused(ErrorCode.INVALID_REQUEST, f"CloudEvents: {error}", fields) from None


def _from_object(document: dict[str, Any]) -> _Parts:
    if "resourceId" in document and "context" in document:
        return _from_module(document)
    image = document.pop("image", None)
    return _Parts(document, image)


def _from_module(document: dict[str, Any]) -> _Parts:
    """The onboarding module's envelope: `resourceId` names the submission, the record key the person."""
    resource = document["resourceId"]
    fields = {"submission_id": resource, "resource_id": resource}
    try:
        selfie = document["context"]["subject"]["biometrics"][0]
        image = selfie["selfieImage"]
        encrypted = selfie.get("selfieImageEncryption", False)
    except (KeyError, IndexError, TypeError, AttributeError):
        message = "context.subject.biometrics[0].selfieImage is missing"
        raise _Refused(ErrorCode.INVALID_REQUEST, message, fields) from None
    return _Parts(fields, image, encrypted=encrypted is not False)


def _json_object(value: bytes | None) -> dict[str, Any]:
    if not value:
        raise _Refused(ErrorCode.INVALID_REQUEST, "the record is empty")
    if sum(value.count(mark) for mark in (b",", b"[", b"{")) > MAX_JSON_SEPARATORS:
        raise _Refused(ErrorCode.INVALID_REQUEST, "the JSON has more elements than a submission")
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise _Refused(ErrorCode.INVALID_REQUEST, "the record is neither JSON nor a CloudEvent") from None
    if not isinstance(document, dict):
        raise _Refused(ErrorCode.INVALID_REQUEST, "the JSON is not an object")
    return document


def _with_key(parts: _Parts, record: Record) -> _Parts:
    if parts.fields.get("correlation_id") is None and record.key:
        key = record.key[:64].decode("utf-8", "replace")
        return _Parts({**parts.fields, "correlation_id": key}, parts.image, parts.encrypted)
    return parts


def _submission(parts: _Parts, record: Record, limits: ImageLimits) -> Submission:
    fields = _validated(parts.fields)
    if parts.encrypted:
        raise _Refused(ErrorCode.DECRYPTION_FAILED, "the selfie is encrypted and no key is configured")
    image = _image_bytes(parts.image, limits)
    digest = hashlib.sha256(image).hexdigest()
    if fields.image_sha256 is not None and fields.image_sha256.lower() != digest:
        raise _Refused(ErrorCode.INVALID_REQUEST, "image_sha256 is not the digest of the image")
    ids = _ids(fields)
    return Submission(
        ids=ids,
        context=CaptureContext(
            client_ip=fields.client_ip,
            device_id=fields.device_id,
            captured_at=fields.captured_at,
            session_token=fields.session_token,
        ),
        image=image,
        fingerprint=_fingerprint(ids, digest),
        appended_at_ms=record.appended_at_ms,
    )


def _validated(fields: Mapping[str, Any]) -> _Fields:
    try:
        return _Fields.model_validate(fields)
    except ValidationError as error:
        names = sorted({str(item["loc"][0]) for item in error.errors(include_input=False, include_url=False)})
        raise _Refused(ErrorCode.INVALID_REQUEST, f"missing or malformed: {', '.join(names)}") from None


def _image_bytes(image: object, limits: ImageLimits) -> bytes:
    if isinstance(image, str):
        image = _from_base64(image, limits)
    if not isinstance(image, bytes) or not image:
        raise _Refused(ErrorCode.INVALID_REQUEST, "image is missing or blank")
    refusal = check_image(image, limits)
    if refusal is not None:
        raise _Refused(refusal.error, refusal.message)
    return image


def check_image(image: bytes, limits: ImageLimits) -> Refusal | None:
    """What can be said about a picture without decoding it; None lets it through to a slot."""
    if not image:
        return Refusal(error=ErrorCode.INVALID_REQUEST, message="the image is empty")
    if len(image) > limits.max_bytes:
        return Refusal(
            error=ErrorCode.IMAGE_TOO_LARGE, message=f"the image has more than {limits.max_bytes} bytes"
        )
    if sniff(image) is None:
        return Refusal(
            error=ErrorCode.UNSUPPORTED_FORMAT, message="the image is not a JPEG, PNG, WebP or BMP file"
        )
    return None


def _from_base64(text: str, limits: ImageLimits) -> bytes:
    text = text.strip()
    if text.startswith("data:"):
        head, comma, text = text.partition(",")
        if not comma or not head.endswith(";base64"):
            raise _Refused(ErrorCode.INVALID_REQUEST, "image is a data URL without base64")
    if len(text) // 4 * 3 > limits.max_bytes + 3:
        raise _Refused(ErrorCode.IMAGE_TOO_LARGE, f"the image has more than {limits.max_bytes} bytes")
    try:
        return pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _Refused(ErrorCode.INVALID_REQUEST, "image is not valid base64") from None


def _ids(fields: _Fields) -> SubmissionIds:
    return SubmissionIds(
        submission_id=fields.submission_id,
        correlation_id=fields.correlation_id,
        tenant=fields.tenant,
        session_id=fields.session_id,
        resource_id=fields.resource_id,
    )


def _fingerprint(ids: SubmissionIds, digest: str) -> str:
    """128 bits over whose picture it is and which one: the same again only for a true duplicate."""
    named = [ids.tenant, ids.submission_id, ids.correlation_id, ids.session_id, ids.resource_id, digest]
    return hashlib.sha256(orjson.dumps(named)).hexdigest()[:32]


#: One check an id, so that a sound id survives an unsound neighbour.
_ID_CHECKS: dict[str, TypeAdapter[str | None]] = {
    name: TypeAdapter(_Fields.model_fields[name].rebuild_annotation(), config=ConfigDict(strict=True))
    for name in ("submission_id", "correlation_id", "tenant", "session_id", "resource_id")
}


def _rejected(fields: Mapping[str, Any], refused: _Refused, record: Record) -> Rejected | Poison:
    """Answer the submission if it can be named; without a submission id there is nobody to answer."""
    sound = {name: _sound_id(name, fields.get(name)) for name in _ID_CHECKS}
    submission_id = sound.pop("submission_id")
    if submission_id is None:
        return Poison(reason=refused.error, message=refused.message)
    ids = SubmissionIds(submission_id=submission_id, **sound)
    digest = hashlib.sha256(refused.error.encode() + (record.value or b"")).hexdigest()
    return Rejected(
        ids=ids,
        error=refused.error,
        message=refused.message,
        fingerprint=_fingerprint(ids, digest),
        appended_at_ms=record.appended_at_ms,
    )


def _sound_id(name: str, value: object) -> str | None:
    try:
        return _ID_CHECKS[name].validate_python(value)
    except ValidationError:
        return None
