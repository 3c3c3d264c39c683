"""Intake: the bytes of one Kafka record become a Submission, a Rejected submission, or Poison. Pure; never raises.

Every byte is hostile. A record that names a submission is answered with a decision whatever else is wrong; a record
that names none is poison. Nothing of the content is ever quoted in a message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from config.catalogues.challenges import NEUTRAL
from config.catalogues.error_codes import ErrorCode
from config.limits.capture import ImageLimits
from config.validation import fields_at_fault
from detectors.contract import Frame
from detectors.image_format import sniff
from stream.encryption import jwe
from stream.encryption.key_folder import KeyFolder
from stream.events.message.ids import SubmissionIds, names_nobody
from stream.events.message.messages import (
    HEADERS_CUT_HEADER,
    UNREADABLE_BATCH_HEADER,
    CaptureContext,
    Poison,
    Record,
    Refusal,
    Rejected,
    Submission,
)
from stream.events.message.session_terms import FrameContext, FramePart
from stream.pipeline.intake.image_text import NotBase64, TooLong, image_bytes
from stream.pipeline.intake.record_forms import CarriedPicture, NotASubmission, picture_of
from stream.pipeline.intake.submission_fields import (
    CONTEXT_NAMES,
    ID_NAMES,
    SubmissionFields,
    is_blank,
    listed_frames,
    not_honoured,
    valid_fields,
    valid_part,
    without_session,
)

UNREADABLE_BATCH = "UNREADABLE_BATCH"
#: Bytes of a record's key: a GUID has 36, and a record that waits for its turn holds no more.
MAX_KEY_BYTES = 4096

#: One answer for every encrypted selfie that can't be opened: what is wrong would help an attacker only.
_NOT_OPENED = "the encrypted selfie can't be decrypted with the keys here"


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
        picture = picture_of(record, known)
        _require_small(record)
        return _submission(known, picture, record, _Rules(limits, keys, sessions))
    except NotASubmission as error:
        return _rejected(known, error, record)


def _require_small(record: Record) -> None:
    if any(name == HEADERS_CUT_HEADER for name, _ in record.headers):
        raise NotASubmission("the record has more than 256 headers, or more than 64 KiB of them")
    if len(record.key or b"") > MAX_KEY_BYTES:
        raise NotASubmission(f"the record's key has more than {MAX_KEY_BYTES} bytes")


def _submission(known: Mapping[str, Any], picture: CarriedPicture, record: Record, rules: _Rules) -> Submission:
    fields = _validated(known, rules)
    frames, contexts, encrypted = _frames(known, fields, picture, rules)
    part = _part(fields)
    reference = _reference(known, frames, part, rules)
    digests = [hashlib.sha256(frame.image).hexdigest() for frame in frames]
    if fields.image_sha256 is not None and fields.image_sha256.lower() != digests[0]:
        raise NotASubmission("image_sha256 is not the digest of the image")
    ids = SubmissionIds(**{name: getattr(fields, name) for name in ID_NAMES})
    return Submission(
        ids=ids,
        context=CaptureContext(**{name: getattr(fields, name) for name in CONTEXT_NAMES}),
        frames=frames,
        image_sha256=digests[0],
        fingerprint=_fingerprint(ids, _with_reference(_digest_of_all(digests, contexts, part), reference)),
        appended_at_ms=record.appended_at_ms,
        encrypted=encrypted,
        contexts=contexts,
        session_token=fields.session_token,
        part=part,
        reference=reference,
        capture_attestation=fields.capture_attestation,
    )


def _part(fields: SubmissionFields) -> FramePart | None:
    """Place of the record's one frame among several records; None where the record is the whole submission."""
    index, count = fields.frame_index, fields.frame_count
    if index is None and count is None:
        return None
    if index is None or count is None or index >= count:
        raise NotASubmission("frame_index and frame_count come together, and the index is below the count")
    return FramePart(frame_index=index, frame_count=count)


def _frames(
    known: Mapping[str, Any], fields: SubmissionFields, picture: CarriedPicture, rules: _Rules
) -> tuple[tuple[Frame, ...], tuple[FrameContext, ...], bool]:
    """Frames of a submission, a context a frame where any is told, and whether they came encrypted."""
    if "frames" in known and fields.frame_index is not None:
        raise NotASubmission("frames and frame_index are both there: send the frames in one event, or one a record")
    if "frames" not in known:
        image, encrypted = _opened(picture, fields, rules)
        return (Frame(image),), _context_of_record(fields), encrypted
    if picture.image and not is_blank(picture.image):
        raise NotASubmission("image and frames are both there: send either")
    listed = listed_frames(known["frames"])
    if isinstance(listed, str):
        raise NotASubmission(listed)
    opened = [_opened(CarriedPicture(image), fields, rules) for image, _ in listed]
    if sum(len(image) for image, _ in opened) > rules.limits.max_bytes:
        raise NotASubmission(f"the frames have more than {rules.limits.max_bytes} bytes", ErrorCode.IMAGE_TOO_LARGE)
    contexts = tuple(context for _, context in listed)
    return tuple(Frame(image) for image, _ in opened), contexts, any(encrypted for _, encrypted in opened)


def _reference(
    known: Mapping[str, Any], frames: Sequence[Frame], part: FramePart | None, rules: _Rules
) -> Frame | None:
    """Reference image of a submission, decrypted; the limit of bytes holds for frames and reference together."""
    if "reference_image" not in known:
        return None
    if part is not None and part.frame_index:
        raise NotASubmission("reference_image goes with the record of the first frame")
    image = known["reference_image"]
    try:
        image = _decrypted(image, rules.limits, rules.keys) if jwe.is_compact(image) else image
        image = _image_bytes(image, rules.limits)
    except NotASubmission as error:
        raise NotASubmission(f"reference_image: {error.message}", error.error) from None
    if len(image) + sum(len(frame.image) for frame in frames) > rules.limits.max_bytes:
        message = f"picture and reference_image have more than {rules.limits.max_bytes} bytes"
        raise NotASubmission(message, ErrorCode.IMAGE_TOO_LARGE)
    return Frame(image)


def _context_of_record(fields: SubmissionFields) -> tuple[FrameContext, ...]:
    told = (fields.frame_challenge, fields.frame_at_ms, fields.frame_colour)
    if told == (None, None, None) and fields.frame_index is None:
        return ()
    challenge, at_ms, colour = told
    return (FrameContext(challenge=challenge or NEUTRAL, at_ms=at_ms, colour=colour),)


def _opened(picture: CarriedPicture, fields: SubmissionFields, rules: _Rules) -> tuple[bytes, bool]:
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


def _with_reference(digest: str, reference: Frame | None) -> str:
    """Digest of a submission's content with that of its reference image: another reference asks another question."""
    if reference is None:
        return digest
    return hashlib.sha256(orjson.dumps([digest, hashlib.sha256(reference.image).hexdigest()])).hexdigest()


def _validated(known: Mapping[str, Any], rules: _Rules) -> SubmissionFields:
    if names_nobody(known.get("correlation_id")):
        raise NotASubmission("correlation_id is the nil or the max GUID, which names nobody: make one for each person")
    refused = not_honoured(known, sessions=rules.sessions)
    if refused:
        raise NotASubmission(f"this service can't do what these fields ask for: {', '.join(refused)}")
    try:
        fields = SubmissionFields.model_validate(known)
    except ValidationError as error:
        raise NotASubmission(f"missing or malformed: {', '.join(fields_at_fault(error, 1))}") from None
    if alone := without_session(known):
        raise NotASubmission(f"these fields need a session's token, session_token: {', '.join(alone)}")
    if fields.expected_client_ip is not None and fields.client_ip is None:
        raise NotASubmission("expected_client_ip is compared with client_ip, which is missing")
    return fields


def _decrypted(image: object, limits: ImageLimits, keys: KeyFolder | None) -> bytes:
    """Picture of an encrypted selfie: a compact JWE as it stands, or once more in base64."""
    if keys is None:
        raise NotASubmission("the selfie is encrypted and no key is configured", ErrorCode.DECRYPTION_FAILED)
    if isinstance(image, str):
        jwe_text = image.strip()
        known_form = jwe.is_compact(jwe_text)
        image = jwe_text.encode("utf-8", "replace") if known_form else _jwe_in_base64(jwe_text, limits)
    if not isinstance(image, bytes) or not jwe.is_compact(image):
        raise NotASubmission(_NOT_OPENED, ErrorCode.DECRYPTION_FAILED)
    if len(image) > jwe.longest(limits.max_bytes) or jwe.content_bytes(image) > limits.max_bytes:
        raise _too_large(limits)
    try:
        return keys.decrypt(image)
    except jwe.DecryptionFailed:
        raise NotASubmission(_NOT_OPENED, ErrorCode.DECRYPTION_FAILED) from None


def _jwe_in_base64(text: str, limits: ImageLimits) -> bytes:
    try:
        return image_bytes(text, jwe.longest(limits.max_bytes)).strip()
    except TooLong:
        raise _too_large(limits) from None
    except NotBase64:
        raise NotASubmission(_NOT_OPENED, ErrorCode.DECRYPTION_FAILED) from None


def _too_large(limits: ImageLimits) -> NotASubmission:
    return NotASubmission(f"the image has more than {limits.max_bytes} bytes", ErrorCode.IMAGE_TOO_LARGE)


def _image_bytes(image: object, limits: ImageLimits) -> bytes:
    if isinstance(image, str):
        image = _from_text(image, limits)
    if not isinstance(image, bytes) or not image:
        raise NotASubmission("image is missing or blank")
    refusal = check_image(image, limits)
    if refusal is not None:
        raise NotASubmission(refusal.message, refusal.error)
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
        raise NotASubmission(f"image {error}") from None


def _fingerprint(ids: SubmissionIds, digest: str) -> str:
    """Fingerprint: 128 bits over tenant, ids and picture digest; equal only for true duplicates."""
    named = [ids.tenant, ids.submission_id, ids.correlation_id, ids.session_id, ids.resource_id, digest]
    return hashlib.sha256(orjson.dumps(named)).hexdigest()[:32]


def _rejected(known: Mapping[str, Any], cause: NotASubmission, record: Record) -> Rejected | Poison:
    """Rejected submission if its id is valid; a record without a valid submission id is poison. Address and device are
    kept as far as they are valid: a picture that can't be analysed is an attempt of their sender as well. A
    frame's place is kept too."""
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
        part=valid_part(known),
    )
