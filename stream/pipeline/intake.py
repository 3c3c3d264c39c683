"""Intake: the bytes of one Kafka record become a Submission, a Rejected submission, or Poison. Pure; never raises.

Every byte is hostile. A record that names a submission is answered with a decision whatever else is wrong; a record
that names none is poison. Nothing of the content is ever quoted in a message.

Ids stand in the event's object or in its envelope (CloudEvents attributes, the record key for the correlation id);
where both name a field, the object's value counts. What a record is, is told by its bytes: headers are often wrong.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from pydantic import ValidationError

from config.challenges import NEUTRAL
from config.error_codes import ErrorCode
from config.policy import ImageLimits
from config.validation import fields_at_fault
from detectors.contract import Frame
from detectors.image_format import sniff
from stream.encryption import jwe
from stream.encryption.key_folder import KeyFolder
from stream.events import cloud_events
from stream.events.cloud_events import Envelope, EnvelopeError, Mode
from stream.events.ids import SubmissionIds, names_nobody
from stream.events.json_object import NoJsonObject, read_object
from stream.events.messages import (
    HEADERS_CUT_HEADER,
    UNREADABLE_BATCH_HEADER,
    CaptureContext,
    Poison,
    Record,
    Refusal,
    Rejected,
    Submission,
)
from stream.events.session_terms import FrameContext, FramePart
from stream.pipeline.image_text import NotBase64, TooLong, image_bytes
from stream.pipeline.submission_fields import (
    CONTEXT_NAMES,
    FIELD_NAMES,
    ID_NAMES,
    NAMED_BY_ENVELOPE,
    SubmissionFields,
    given,
    is_blank,
    listed_frames,
    named_by_envelope,
    not_honoured,
    valid_fields,
    without_session,
)

UNREADABLE_BATCH = "UNREADABLE_BATCH"
#: Bytes of a record's key: a GUID has 36, and a record that waits for its turn holds no more.
MAX_KEY_BYTES = 4096

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
#: One answer for every encrypted selfie that can't be opened: what is wrong would help an attacker only.
_NOT_OPENED = "the encrypted selfie can't be decrypted with the keys here"


@dataclass(frozen=True, slots=True)
class _Picture:
    """Image as a record carries it: raw bytes, base64 text, a JWE in either, or nothing usable."""

    image: object
    encrypted: bool = False


class _NotASubmission(Exception):
    """Reason why a record can't become a submission; the words quote nothing of the record."""

    def __init__(self, message: str, error: ErrorCode = ErrorCode.INVALID_REQUEST) -> None:
        super().__init__(message)
        self.message, self.error = message, error


@dataclass(frozen=True, slots=True)
class _Rules:
    """Rules of this installation for what it takes."""

    limits: ImageLimits
    keys: KeyFolder | None
    sessions: bool


def read(
    record: Record, limits: ImageLimits, keys: KeyFolder | None = None, *, sessions: bool = False
) -> Submission | Rejected | Poison:
    """Submission of one record of the submissions topic; for the detect stage. `keys` open encrypted selfies, which
    takes some milliseconds more; without `sessions` what belongs to a session is refused by its name."""
    if any(name == UNREADABLE_BATCH_HEADER for name, _ in record.headers):
        return Poison(reason=UNREADABLE_BATCH, message="the broker's batch can't be read; its bytes are kept")
    known: dict[str, Any] = {}
    try:
        picture = _picture_of(record, known)
        _require_small(record)
        return _submission(known, picture, record, _Rules(limits, keys, sessions))
    except _NotASubmission as error:
        return _rejected(known, error, record)


def _require_small(record: Record) -> None:
    if any(name == HEADERS_CUT_HEADER for name, _ in record.headers):
        raise _NotASubmission("the record has more than 256 headers, or more than 64 KiB of them")
    if len(record.key or b"") > MAX_KEY_BYTES:
        raise _NotASubmission(f"the record's key has more than {MAX_KEY_BYTES} bytes")


def _picture_of(record: Record, known: dict[str, Any]) -> _Picture:
    """Picture of a record; fields go to `known` as they are found, so that a rejection half-way still names its ids."""
    if record.key:
        known["correlation_id"] = record.key[:64].decode("utf-8", "replace")
    envelope = cloud_events.unwrap(record.headers)
    if envelope.mode is Mode.BINARY:
        return _from_binary(envelope, record.value, known)
    return _from_json(record.value, partial(_from_document, known=known, structured=envelope.mode is Mode.STRUCTURED))


def _from_json(value: bytes | None, picture_of: Callable[[dict[str, Any]], _Picture]) -> _Picture:
    """Picture of a JSON object. Of one that can't be read to its end the fields are learnt, and it is refused."""
    if not value:
        raise _NotASubmission("the record is empty")
    try:
        document = read_object(value, _NAMES)
    except NoJsonObject as error:
        raise _NotASubmission(str(error)) from None
    fault = None if document.fault is None else _NotASubmission(document.fault)
    try:
        picture = picture_of(document.fields)
    except _NotASubmission as error:
        raise fault or error from None
    if fault is not None:
        raise fault
    return picture


def _from_document(document: dict[str, Any], *, known: dict[str, Any], structured: bool) -> _Picture:
    if structured or cloud_events.is_structured(document):
        return _from_event(document, known)
    return _from_object(document, known)


def _from_binary(envelope: Envelope, value: bytes | None, known: dict[str, Any]) -> _Picture:
    attributes = envelope.attributes
    known.update(given(named_by_envelope(attributes)))
    if value is not None and _holds_json(value, envelope.content_type):
        return _from_json(value, partial(_from_value, attributes=attributes, known=known))
    return _from_image(value, attributes, known, envelope.content_type)


def _from_value(document: dict[str, Any], *, attributes: Mapping[str, Any], known: dict[str, Any]) -> _Picture:
    """Value of a binary event: its data, or a whole structured event, which then counts alone."""
    if cloud_events.is_structured(document):
        return _from_event(document, known)
    return _from_data(document, attributes=attributes, known=known)


def _from_event(event: dict[str, Any], known: dict[str, Any]) -> _Picture:
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
        raise _NotASubmission("data must be a JSON object")
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


def _from_data(document: dict[str, Any], *, attributes: Mapping[str, Any], known: dict[str, Any]) -> _Picture:
    picture = _from_object(document, known)
    _require_envelope(attributes)
    return picture


def _from_image(
    image: bytes | None, attributes: Mapping[str, Any], known: dict[str, Any], content_type: str
) -> _Picture:
    """Image that is an event's whole data: the event's id names the submission if there is no subject."""
    if attributes.get("subject", "") == "":
        known.update(given({"submission_id": attributes.get("id")}))
    _require_envelope(attributes)
    return _Picture(image, encrypted=content_type.startswith(_JWE_TYPE))


def _require_envelope(attributes: Mapping[str, Any]) -> None:
    if None in attributes.values():
        raise _NotASubmission("a ce_ header comes twice or is not UTF-8 text")
    try:
        cloud_events.require_submission(attributes)
    except EnvelopeError as error:
        raise _NotASubmission(f"CloudEvents: {error}") from None


def _from_object(document: dict[str, Any], known: dict[str, Any]) -> _Picture:
    known.update(given(document))
    if _is_module(document):
        return _from_module(document, known)
    return _Picture(document.get("image"))


def _is_module(document: dict[str, Any]) -> bool:
    if "resourceId" in document:
        return "context" in document or "submission_id" not in document
    return "context" in document and "image" not in document


def _from_module(document: dict[str, Any], known: dict[str, Any]) -> _Picture:
    """The onboarding module's envelope: `resourceId` names the submission, the record key the person."""
    resource = document.get("resourceId")
    if resource is not None:
        known.update({"submission_id": resource, "resource_id": resource})
    pictures = list(_module_pictures(document))
    if not pictures:
        raise _NotASubmission("context.subject.biometrics[].selfieImage is missing")
    if len(pictures) > 1:
        raise _NotASubmission("context.subject.biometrics holds several images; one submission has one")
    return pictures[0]


def _module_pictures(document: dict[str, Any]) -> Iterator[_Picture]:
    """Pictures of the envelope; a biometric without an image is passed over."""
    if not is_blank(document.get("image")):
        yield _Picture(document["image"])
    try:
        biometrics = document["context"]["subject"]["biometrics"]
    except (KeyError, TypeError):
        return
    for biometric in biometrics if isinstance(biometrics, list) else ():
        if isinstance(biometric, dict) and not is_blank(biometric.get("selfieImage")):
            encrypted = biometric.get("selfieImageEncryption")
            yield _Picture(biometric["selfieImage"], encrypted=encrypted is not None and encrypted is not False)


def _submission(known: Mapping[str, Any], picture: _Picture, record: Record, rules: _Rules) -> Submission:
    fields = _validated(known, rules)
    frames, contexts, encrypted = _frames(known, fields, picture, rules)
    part = _part(fields)
    digests = [hashlib.sha256(frame.image).hexdigest() for frame in frames]
    if fields.image_sha256 is not None and fields.image_sha256.lower() != digests[0]:
        raise _NotASubmission("image_sha256 is not the digest of the image")
    ids = SubmissionIds(**{name: getattr(fields, name) for name in ID_NAMES})
    return Submission(
        ids=ids,
        context=CaptureContext(**{name: getattr(fields, name) for name in CONTEXT_NAMES}),
        frames=frames,
        image_sha256=digests[0],
        fingerprint=_fingerprint(ids, _digest_of_all(digests, contexts, part)),
        appended_at_ms=record.appended_at_ms,
        encrypted=encrypted,
        contexts=contexts,
        session_token=fields.session_token,
        part=part,
    )


def _part(fields: SubmissionFields) -> FramePart | None:
    """Place of the record's one frame among several records; None where the record is the whole submission."""
    index, count = fields.frame_index, fields.frame_count
    if index is None and count is None:
        return None
    if index is None or count is None or index >= count:
        raise _NotASubmission("frame_index and frame_count come together, and the index is below the count")
    return FramePart(frame_index=index, frame_count=count)


def _frames(
    known: Mapping[str, Any], fields: SubmissionFields, picture: _Picture, rules: _Rules
) -> tuple[tuple[Frame, ...], tuple[FrameContext, ...], bool]:
    """Frames of a submission, a context a frame where any is told, and whether they came encrypted."""
    if "frames" in known and fields.frame_index is not None:
        raise _NotASubmission("frames and frame_index are both there: send the frames in one event, or one a record")
    if "frames" not in known:
        image, encrypted = _opened(picture, fields, rules)
        return (Frame(image),), _context_of_record(fields), encrypted
    if picture.image and not is_blank(picture.image):
        raise _NotASubmission("image and frames are both there: send either")
    listed = listed_frames(known["frames"])
    if isinstance(listed, str):
        raise _NotASubmission(listed)
    opened = [_opened(_Picture(image), fields, rules) for image, _ in listed]
    if sum(len(image) for image, _ in opened) > rules.limits.max_bytes:
        raise _NotASubmission(f"the frames have more than {rules.limits.max_bytes} bytes", ErrorCode.IMAGE_TOO_LARGE)
    contexts = tuple(context for _, context in listed)
    return tuple(Frame(image) for image, _ in opened), contexts, any(encrypted for _, encrypted in opened)


def _context_of_record(fields: SubmissionFields) -> tuple[FrameContext, ...]:
    told = (fields.frame_challenge, fields.frame_at_ms, fields.frame_colour)
    if told == (None, None, None) and fields.frame_index is None:
        return ()
    challenge, at_ms, colour = told
    return (FrameContext(challenge=challenge or NEUTRAL, at_ms=at_ms, colour=colour),)


def _opened(picture: _Picture, fields: SubmissionFields, rules: _Rules) -> tuple[bytes, bool]:
    """Bytes of a picture, decrypted, and whether these came encrypted."""
    image = picture.image
    encrypted = picture.encrypted or bool(fields.image_encryption) or jwe.is_compact(image)
    if encrypted and image and not is_blank(image):
        image = _decrypted(image, rules.limits, rules.keys)
    return _image_bytes(image, rules.limits), encrypted


def _digest_of_all(digests: Sequence[str], contexts: Sequence[FrameContext], part: FramePart | None) -> str:
    """Digest of all that a record shows: of one frame the digest of the picture, as it has always been."""
    if not contexts:
        return digests[0]
    told = [[each.challenge, each.at_ms, each.colour] for each in contexts]
    place = [] if part is None else [part.frame_index, part.frame_count]
    return hashlib.sha256(orjson.dumps([digests, told, place])).hexdigest()


def _validated(known: Mapping[str, Any], rules: _Rules) -> SubmissionFields:
    if names_nobody(known.get("correlation_id")):
        raise _NotASubmission("correlation_id is the nil or the max GUID, which names nobody: make one for each person")
    refused = not_honoured(known, sessions=rules.sessions)
    if refused:
        raise _NotASubmission(f"this service can't do what these fields ask for: {', '.join(refused)}")
    try:
        fields = SubmissionFields.model_validate(known)
    except ValidationError as error:
        raise _NotASubmission(f"missing or malformed: {', '.join(fields_at_fault(error, 1))}") from None
    if alone := without_session(known):
        raise _NotASubmission(f"these fields need a session's token, session_token: {', '.join(alone)}")
    if fields.expected_client_ip is not None and fields.client_ip is None:
        raise _NotASubmission("expected_client_ip is compared with client_ip, which is missing")
    return fields


def _decrypted(image: object, limits: ImageLimits, keys: KeyFolder | None) -> bytes:
    """Picture of an encrypted selfie: a compact JWE as it stands, or once more in base64."""
    if keys is None:
        raise _NotASubmission("the selfie is encrypted and no key is configured", ErrorCode.DECRYPTION_FAILED)
    if isinstance(image, str):
        jwe_text = image.strip()
        known_form = jwe.is_compact(jwe_text)
        image = jwe_text.encode("utf-8", "replace") if known_form else _jwe_in_base64(jwe_text, limits)
    if not isinstance(image, bytes) or not jwe.is_compact(image):
        raise _NotASubmission(_NOT_OPENED, ErrorCode.DECRYPTION_FAILED)
    if len(image) > jwe.longest(limits.max_bytes) or jwe.content_bytes(image) > limits.max_bytes:
        raise _too_large(limits)
    try:
        return keys.decrypt(image)
    except jwe.DecryptionFailed:
        raise _NotASubmission(_NOT_OPENED, ErrorCode.DECRYPTION_FAILED) from None


def _jwe_in_base64(text: str, limits: ImageLimits) -> bytes:
    try:
        return image_bytes(text, jwe.longest(limits.max_bytes)).strip()
    except TooLong:
        raise _too_large(limits) from None
    except NotBase64:
        raise _NotASubmission(_NOT_OPENED, ErrorCode.DECRYPTION_FAILED) from None


def _too_large(limits: ImageLimits) -> _NotASubmission:
    return _NotASubmission(f"the image has more than {limits.max_bytes} bytes", ErrorCode.IMAGE_TOO_LARGE)


def _image_bytes(image: object, limits: ImageLimits) -> bytes:
    if isinstance(image, str):
        image = _from_text(image, limits)
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


def _from_text(text: str, limits: ImageLimits) -> bytes:
    try:
        return image_bytes(text, limits.max_bytes)
    except TooLong:
        raise _too_large(limits) from None
    except NotBase64 as error:
        raise _NotASubmission(f"image {error}") from None


def _fingerprint(ids: SubmissionIds, digest: str) -> str:
    """Fingerprint: 128 bits over tenant, ids and picture digest; equal only for true duplicates."""
    named = [ids.tenant, ids.submission_id, ids.correlation_id, ids.session_id, ids.resource_id, digest]
    return hashlib.sha256(orjson.dumps(named)).hexdigest()[:32]


def _rejected(known: Mapping[str, Any], cause: _NotASubmission, record: Record) -> Rejected | Poison:
    """Rejected submission if its id is valid; a record without a valid submission id is poison. Address and device are
    kept as far as they are valid: a picture that can't be analysed is an attempt of their sender as well."""
    valid = valid_fields(known)
    if valid["submission_id"] is None:
        return Poison(reason=cause.error, message=cause.message)
    ids = SubmissionIds(**{name: valid[name] for name in ID_NAMES})
    digest = hashlib.sha256(cause.error.encode() + (record.value or b"")).hexdigest()
    return Rejected(
        ids=ids,
        context=CaptureContext(**{name: valid[name] for name in CONTEXT_NAMES}),
        error=cause.error,
        message=cause.message,
        fingerprint=_fingerprint(ids, digest),
        appended_at_ms=record.appended_at_ms,
    )
