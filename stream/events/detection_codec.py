"""The internal event between the two agents: a `Detection` as JSON, and strictly back again.

The topic is internal but its bytes are still checked: another detector group may write to it one day, and a
record nobody here wrote must not become a decision.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from abuse.faces.face_prints import KEY_ID, MODEL, ProtectedTemplate, print_from
from abuse.links.marks import NO_REFERENCES, ReuseReferences
from abuse.observation import NOWHERE, Origin
from abuse.pictures.media_keys import KeyedImageHashes
from abuse.subjects import HASHED_KEY, Subject, SubjectType
from config.error_codes import ErrorCode
from config.settings import MOST_HASH_KEYS
from detectors import analysis_codec
from detectors.analysis_codec import MAX_MS, MalformedAnalysis
from detectors.contract import MAX_FRAMES, Analysis
from stream.events.cloud_events import EventType, binary_headers
from stream.events.ids import CANONICAL_GUID, SHORT_TEXT, SUBMISSION_ID, TENANT, request_id
from stream.events.messages import AlreadyDecided, Detection, Output, Refusal, SubmissionIds

MAX_DETECTION_BYTES = 512 * 1024
MAX_NETWORKS = 256
#: In base64: a print of 1024 numbers.
MAX_PACKED = 2732
#: The last moment that has a date of four digits.
LATEST_MS = 253_402_300_799_999
#: 64 bits in hex.
CODE = r"^[0-9a-f]{16}$"

#: The parts of an origin that are subjects, each under the name of its type.
_SUBJECTS = ("device", "address", "prefix")
#: What there is of a picture under each key.
_CODES = ("bytes", "pixels", "perceptual")

HashedKey = Annotated[str, StringConstraints(pattern=HASHED_KEY)]


class DetectionError(ValueError):
    """The record is not a detection; the message names what is wrong and quotes nothing."""


class MalformedPrint(Exception):
    """These bytes are no print of a face."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


class _Ids(_Strict):
    """The same alphabets as at intake: an id can reach neither into another key nor into a header."""

    submission_id: str = Field(pattern=SUBMISSION_ID)
    correlation_id: str | None = Field(pattern=CANONICAL_GUID)
    tenant: str | None = Field(pattern=TENANT)
    session_id: str | None = Field(pattern=SHORT_TEXT)
    resource_id: str | None = Field(pattern=SHORT_TEXT)


class _Subject(_Strict):
    """A device, address or prefix by its keyed hash."""

    key: HashedKey
    former: list[HashedKey] = Field(max_length=MOST_HASH_KEYS)


class _Origin(_Strict):
    device: _Subject | None
    address: _Subject | None
    prefix: _Subject | None
    networks: list[Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,64}$")]] = Field(max_length=MAX_NETWORKS)
    as_expected: bool | None


class _Face(_Strict):
    """A print: half-precision numbers under the tenant's key."""

    model: str = Field(pattern=MODEL.pattern)
    key_id: str = Field(pattern=KEY_ID.pattern)
    packed: str = Field(max_length=MAX_PACKED)


class _Codes(_Strict):
    """Of a picture, under one key."""

    key_id: str = Field(pattern=KEY_ID.pattern)
    bytes: str = Field(pattern=CODE)
    pixels: str = Field(pattern=CODE)
    perceptual: str = Field(pattern=CODE)


class _Marks(_Strict):
    face: _Face | None
    picture: list[_Codes] = Field(max_length=MOST_HASH_KEYS)


class _Refused(_Strict):
    error: Annotated[ErrorCode, Field(strict=False)]
    message: str = Field(max_length=1000, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")
    counts: bool


class _Wire(_Strict):
    version: Literal[1]
    ids: _Ids
    fingerprint: str = Field(pattern=r"^[0-9a-f]{32}$")
    appended_at_ms: int = Field(ge=0, le=LATEST_MS)
    queue_ms: float = Field(ge=0, le=MAX_MS)
    detection_ms: float = Field(ge=0, le=MAX_MS)
    #: Unset in what a worker of an earlier version wrote.
    origin: _Origin | None = None
    marks: _Marks | None = None
    analysis: dict[str, Any] | None = None
    analyses: list[dict[str, Any]] | None = Field(None, min_length=2, max_length=MAX_FRAMES)
    refusal: _Refused | None = None
    decided: str | None = None


def encode_detection(detection: Detection) -> bytes:
    ids = detection.ids
    document: dict[str, Any] = {
        "version": 1,
        "ids": {name: getattr(ids, name) for name in _Ids.model_fields},
        "fingerprint": detection.fingerprint,
        "appended_at_ms": detection.appended_at_ms,
        "queue_ms": round(detection.queue_ms, 3),
        "detection_ms": round(detection.detection_ms, 3),
        "origin": _origin_document(detection.origin),
        "marks": _marks_document(detection.marks),
    }
    match detection.finding:
        case (analysis,):  # as it has always been for one frame
            document["analysis"] = analysis_codec.to_document(analysis)
        case tuple() as analyses:
            document["analyses"] = [analysis_codec.to_document(analysis) for analysis in analyses]
        case Refusal(error=error, message=message, counts=counts):
            document["refusal"] = {"error": error, "message": message, "counts": counts}
        case AlreadyDecided(decision=decision):
            document["decided"] = base64.b64encode(decision).decode("ascii")
    return orjson.dumps(document)


def decode_detection(value: bytes | None) -> Detection:
    """The strict inverse; raises DetectionError."""
    if not value or len(value) > MAX_DETECTION_BYTES:
        raise DetectionError("the detection is empty or too large")
    try:
        wire = _Wire.model_validate(orjson.loads(value))
        finding, marks = _finding(wire), _marks(wire.marks)
    except orjson.JSONDecodeError:
        raise DetectionError("the detection is not JSON") from None
    except ValidationError as error:
        raise DetectionError(f"missing, unknown or malformed: {', '.join(_where(error))}") from None
    except MalformedPrint:
        raise DetectionError("marks.face is no print of a face") from None
    except MalformedAnalysis as error:
        raise DetectionError(f"analysis: {error}") from None
    return Detection(
        ids=SubmissionIds(**wire.ids.model_dump()),
        fingerprint=wire.fingerprint,
        appended_at_ms=wire.appended_at_ms,
        finding=finding,
        origin=NOWHERE if wire.origin is None else _origin(wire.origin),
        marks=marks,
        queue_ms=wire.queue_ms,
        detection_ms=wire.detection_ms,
    )


def detection_output(detection: Detection, topic: str, source: str) -> Output:
    """The record for the detections topic, keyed by correlation id (by submission id where there is none)."""
    ids = detection.ids
    headers = binary_headers(
        EventType.DETECTION, event_id=detection.fingerprint, source=source, subject=ids.submission_id
    )
    key = (ids.correlation_id or ids.submission_id).encode()
    return Output(topic=topic, key=key, value=encode_detection(detection), headers=headers)


def _origin_document(origin: Origin) -> dict[str, Any]:
    subjects = {name: getattr(origin, name) for name in _SUBJECTS}
    return {
        **{name: None if s is None else {"key": s.key, "former": s.former} for name, s in subjects.items()},
        "networks": origin.networks,
        "as_expected": origin.as_expected,
    }


def _origin(wire: _Origin) -> Origin:
    subjects = {
        name: Subject(type=SubjectType(name), key=each.key, former=tuple(each.former))
        for name in _SUBJECTS
        if (each := getattr(wire, name)) is not None
    }
    return Origin(**subjects, networks=tuple(wire.networks), as_expected=wire.as_expected)


def _marks_document(marks: ReuseReferences) -> dict[str, Any]:
    face = marks.face
    return {
        "face": None
        if face is None
        else {
            "model": face.model,
            "key_id": face.key_id,
            "packed": base64.b64encode(face.packed).decode("ascii"),
        },
        "picture": [
            {"key_id": codes.key_id, **{name: f"{getattr(codes, name):016x}" for name in _CODES}}
            for codes in marks.picture
        ],
    }


def _marks(wire: _Marks | None) -> ReuseReferences:
    if wire is None:
        return NO_REFERENCES
    return ReuseReferences(
        face=None if wire.face is None else _print(wire.face),
        picture=tuple(
            KeyedImageHashes(key_id=codes.key_id, **{name: int(getattr(codes, name), 16) for name in _CODES})
            for codes in wire.picture
        ),
    )


def _print(wire: _Face) -> ProtectedTemplate:
    try:
        return print_from(wire.model, wire.key_id, base64.b64decode(wire.packed, validate=True))
    except ValueError as error:
        raise MalformedPrint from error


def _where(error: ValidationError) -> list[str]:
    """The fields at fault; an unknown one only by the place it stands in, since its name is a stranger's."""
    places = set()
    for item in error.errors(include_input=False, include_url=False):
        path = item["loc"][:-1] if item["type"] == "extra_forbidden" else item["loc"]
        places.add(".".join(map(str, path)) or "detection")
    return sorted(places)


def _finding(wire: _Wire) -> tuple[Analysis, ...] | Refusal | AlreadyDecided:
    present = [part for part in (wire.analysis, wire.analyses, wire.refusal, wire.decided) if part is not None]
    if len(present) != 1:
        raise DetectionError("exactly one of analysis, refusal and decided must be there")
    if wire.analysis is not None:
        return (analysis_codec.from_document(wire.analysis),)
    if wire.analyses is not None:
        return tuple(map(analysis_codec.from_document, wire.analyses))
    if wire.refusal is not None:
        return Refusal(error=wire.refusal.error, message=wire.refusal.message, counts=wire.refusal.counts)
    assert wire.decided is not None  # one of the three is there
    return AlreadyDecided(decision=_decision_of(wire, wire.decided))


def _decision_of(wire: _Wire, encoded: str) -> bytes:
    """The bytes of a decision about this very submission: they are published as they are."""
    try:
        decision = base64.b64decode(encoded, validate=True)
        document = orjson.loads(decision)
    except ValueError:
        raise DetectionError("decided is not a decision") from None
    ids = SubmissionIds(**wire.ids.model_dump())
    if not isinstance(document, dict) or document.get("request_id") != request_id(ids, wire.fingerprint):
        raise DetectionError("decided is not a decision on this submission")
    return decision
