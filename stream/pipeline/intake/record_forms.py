"""Forms of a submission record: the picture and the fields of a bare object, of a CloudEvent in either mode, and of the
onboarding module's envelope.

Ids stand in the event's object or in its envelope (CloudEvents attributes, the record key for the correlation id);
where both name a field, the object's value counts. What a record is, is told by its bytes: headers are often wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from config.catalogues.error_codes import ErrorCode
from detectors.image_format import sniff
from stream.encryption import jwe
from stream.events.message.messages import Record
from stream.events.wire import cloud_events
from stream.events.wire.cloud_events import Envelope, EnvelopeError, Mode
from stream.events.wire.json_object import NoJsonObject, read_object
from stream.pipeline.intake.image_text import NotBase64, image_bytes
from stream.pipeline.intake.submission_fields import (
    FIELD_NAMES,
    NAMED_BY_ENVELOPE,
    given,
    is_blank,
    named_by_envelope,
)

#: Every name that intake looks at, in any form of a submission and at any depth.
_NAMES = (
    FIELD_NAMES
    | NAMED_BY_ENVELOPE.keys()
    | {
        "image",
        "challenge",
        "at_ms",
        "colour",
        "specversion",
        "type",
        "id",
        "source",
        "datacontenttype",
        "data",
        "data_base64",
    }
    | {"resourceId", "context", "subject", "biometrics", "selfieImage", "selfieImageEncryption"}
)
_JSON_TYPE = re.compile(r"(application|text)/([a-z0-9.-]+\+)?json\b")
#: Bytes that may stand before the brace of an object: marks of an encoding, white space.
_BEFORE_OBJECT = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"
_LOOKED_AT = 64
_JWE_TYPE = "application/jose"


@dataclass(frozen=True, slots=True)
class CarriedPicture:
    """Image as a record carries it: raw bytes, base64 text, a JWE in either, or nothing usable."""

    image: object
    encrypted: bool = False


class NotASubmission(Exception):
    """Reason why a record can't become a submission; the words quote nothing of the record."""

    def __init__(self, message: str, error: ErrorCode = ErrorCode.INVALID_REQUEST) -> None:
        super().__init__(message)
        self.message, self.error = message, error


def picture_of(record: Record, known: dict[str, Any]) -> CarriedPicture:
    """Picture of a record; fields go to `known` as they are found, so that a rejection half-way still names its ids."""
    if record.key:
        known["correlation_id"] = record.key[:64].decode("utf-8", "replace")
    envelope = cloud_events.unwrap(record.headers)
    if envelope.mode is Mode.BINARY:
        return _from_binary(envelope, record.value, known)
    return _from_json(record.value, partial(_from_document, known=known, structured=envelope.mode is Mode.STRUCTURED))


def _from_json(value: bytes | None, picture_of: Callable[[dict[str, Any]], CarriedPicture]) -> CarriedPicture:
    """Picture of a JSON object. Of one that can't be read to its end the fields are learnt, and it is refused."""
    if not value:
        raise NotASubmission("the record is empty")
    try:
        document = read_object(value, _NAMES)
    except NoJsonObject as error:
        raise NotASubmission(str(error)) from None
    fault = None if document.fault is None else NotASubmission(document.fault)
    try:
        picture = picture_of(document.fields)
    except NotASubmission as error:
        raise fault or error from None
    if fault is not None:
        raise fault
    return picture


def _from_document(document: dict[str, Any], *, known: dict[str, Any], structured: bool) -> CarriedPicture:
    if structured or cloud_events.is_structured(document):
        return _from_event(document, known)
    return _from_object(document, known)


def _from_binary(envelope: Envelope, value: bytes | None, known: dict[str, Any]) -> CarriedPicture:
    attributes = envelope.attributes
    known.update(given(named_by_envelope(attributes)))
    if value is not None and _holds_json(value, envelope.content_type):
        return _from_json(value, partial(_from_value, attributes=attributes, known=known))
    return _from_image(value, attributes, known, envelope.content_type)


def _from_value(document: dict[str, Any], *, attributes: Mapping[str, Any], known: dict[str, Any]) -> CarriedPicture:
    """Value of a binary event: its data, or a whole structured event, which then counts alone."""
    if cloud_events.is_structured(document):
        return _from_event(document, known)
    return _from_data(document, attributes=attributes, known=known)


def _from_event(event: dict[str, Any], known: dict[str, Any]) -> CarriedPicture:
    """Structured event: `data` is an object or its text, `data_base64` what binary mode has as its value."""
    attributes = {name: value for name, value in event.items() if value is not None}
    beside = {name: value for name, value in attributes.items() if name not in NAMED_BY_ENVELOPE}
    known.update(given(beside) | given(named_by_envelope(attributes)))
    data = attributes.get("data")
    if isinstance(data, dict):
        return _from_data(data, attributes=attributes, known=known)
    packed = _packed_data(attributes)
    if packed is None:
        _require_envelope(attributes)
        raise NotASubmission("data must be a JSON object")
    content_type = str(attributes.get("datacontenttype", "")).lower()
    if _holds_json(packed, content_type):
        return _from_json(packed, partial(_from_data, attributes=attributes, known=known))
    return _from_image(packed, attributes, known, content_type)


def _packed_data(attributes: Mapping[str, Any]) -> bytes | None:
    """Data of a structured event that stands in it as text."""
    text, base64_text = attributes.get("data"), attributes.get("data_base64")
    if isinstance(text, str) and (jwe.is_compact(text) or text[:_LOOKED_AT].lstrip().startswith("{")):
        return text.encode("utf-8", "replace")
    if text is not None or not isinstance(base64_text, str):
        return None
    try:
        return image_bytes(base64_text, len(base64_text))
    except NotBase64:
        return None


def _holds_json(value: bytes, content_type: str) -> bool:
    """Whether bytes are an object rather than an image; the content type only counts where the bytes don't tell."""
    if sniff(value) is not None or jwe.is_compact(value):
        return False
    return value[:_LOOKED_AT].lstrip(_BEFORE_OBJECT).startswith(b"{") or _JSON_TYPE.match(content_type) is not None


def _from_data(document: dict[str, Any], *, attributes: Mapping[str, Any], known: dict[str, Any]) -> CarriedPicture:
    picture = _from_object(document, known)
    _require_envelope(attributes)
    return picture


def _from_image(
    image: bytes | None, attributes: Mapping[str, Any], known: dict[str, Any], content_type: str
) -> CarriedPicture:
    """Image that is an event's whole data: the event's id names the submission if there is no subject."""
    if attributes.get("subject", "") == "":
        known.update(given({"submission_id": attributes.get("id")}))
    _require_envelope(attributes)
    return CarriedPicture(image, encrypted=content_type.startswith(_JWE_TYPE))


def _require_envelope(attributes: Mapping[str, Any]) -> None:
    if None in attributes.values():
        raise NotASubmission("a ce_ header comes twice or is not UTF-8 text")
    try:
        cloud_events.require_submission(attributes)
    except EnvelopeError as error:
        raise NotASubmission(f"CloudEvents: {error}") from None


def _from_object(document: dict[str, Any], known: dict[str, Any]) -> CarriedPicture:
    known.update(given(document))
    if _is_module(document):
        return _from_module(document, known)
    return CarriedPicture(document.get("image"))


def _is_module(document: dict[str, Any]) -> bool:
    if "resourceId" in document:
        return "context" in document or "submission_id" not in document
    return "context" in document and "image" not in document


def _from_module(document: dict[str, Any], known: dict[str, Any]) -> CarriedPicture:
    """The onboarding module's envelope: `resourceId` names the submission, the record key the person."""
    resource = document.get("resourceId")
    if resource is not None:
        known.update({"submission_id": resource, "resource_id": resource})
    pictures = list(_module_pictures(document))
    if not pictures:
        raise NotASubmission("context.subject.biometrics[].selfieImage is missing")
    if len(pictures) > 1:
        raise NotASubmission("context.subject.biometrics holds several images; one submission has one")
    return pictures[0]


def _module_pictures(document: dict[str, Any]) -> Iterator[CarriedPicture]:
    """Pictures of the envelope; a biometric without an image is passed over."""
    if not is_blank(document.get("image")):
        yield CarriedPicture(document["image"])
    try:
        biometrics = document["context"]["subject"]["biometrics"]
    except (KeyError, TypeError):
        return
    for biometric in biometrics if isinstance(biometrics, list) else ():
        if isinstance(biometric, dict) and not is_blank(biometric.get("selfieImage")):
            encrypted = biometric.get("selfieImageEncryption")
            yield CarriedPicture(biometric["selfieImage"], encrypted=encrypted is not None and encrypted is not False)
