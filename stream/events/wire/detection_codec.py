"""The internal event between the two agents: a `Detection` as JSON, and strictly back again.

The topic is internal but its bytes are still checked: another detector group may write to it one day, and a
record nobody here wrote must not become a decision.
"""

from __future__ import annotations

import base64
from dataclasses import asdict, fields
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, Field, StringConstraints, TypeAdapter, ValidationError

from abuse.faces.protected_template import MODEL, template_from
from abuse.keys.key_periods import KEY_ID
from abuse.links.reuse_references import NO_REFERENCES, ReuseReferences
from abuse.observation import NOWHERE, Origin
from abuse.pictures.media_keys import KeyedImageHashes
from abuse.subjects import HASHED_KEY, Subject, SubjectType
from config.legal_values import MOST_HASH_KEYS
from config.strict_json import STRICT, faults
from detectors.analysis_codec import FIELDS, CheckedAnalysis
from detectors.contract import MAX_FRAMES, Analysis
from detectors.contract_fields import Milliseconds
from detectors.newer_names import NEWER_NAMES
from stream.events.message.findings import CaptureFinding, FaceComparison, SessionImage
from stream.events.message.ids import SubmissionIds, request_id
from stream.events.message.messages import AlreadyDecided, Detection, Output, Refusal
from stream.events.message.session_terms import FrameContext, FramePart, SessionTerms
from stream.events.wire.cloud_events import EventType, binary_headers
from stream.events.wire.event_times import LATEST_MS

#: Distance of two face templates: 2 for two opposite directions, by the cosine and by the euclidean distance.
FARTHEST = 2.0
MAX_DETECTION_BYTES = 512 * 1024
MAX_NETWORKS = 256
#: Hashes of the frames of one submission, each under every key.
MOST_HASHES = MAX_FRAMES * MOST_HASH_KEYS
#: In base64: a print of 1024 numbers.
MAX_PACKED = 2732
#: Fields that a detection has as they are on the wire, each left out where there is nothing to tell.
_FURTHER = (
    *("encrypted", "session", "contexts", "part", "pixels", "frame_hashes", "content", "capture", "verification"),
    "session_image",
)
#: The parts of an origin that are subjects, each under the name of its type.
_SUBJECTS = ("device", "address", "prefix")

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
FaceDistance = Annotated[float, Field(ge=0, le=FARTHEST)]
HashedKey = Annotated[str, StringConstraints(pattern=HASHED_KEY)]


class DetectionError(ValueError):
    """Refusal of a record that is no detection; the message names what is wrong and quotes nothing."""


class _Strict(BaseModel):
    model_config = STRICT


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


class _References(_Strict):
    face: _Face | None
    picture: list[KeyedImageHashes] = Field(max_length=MOST_HASH_KEYS)


class _Wire(_Strict):
    version: int = Field(ge=1, le=1)  # not Literal[1], which true is equal to
    ids: SubmissionIds
    fingerprint: str = Field(pattern=r"^[0-9a-f]{32}$")
    appended_at_ms: int = Field(ge=0, le=LATEST_MS)
    queue_ms: Milliseconds
    detection_ms: Milliseconds
    #: Unset in what a worker of an earlier version wrote; `marks` are the references, by their first name.
    origin: _Origin | None = None
    marks: _References | None = None
    encrypted: Literal[True] | None = None
    session: SessionTerms | None = None
    contexts: Annotated[tuple[FrameContext, ...], Field(min_length=1, max_length=MAX_FRAMES)] | None = None
    capture: CaptureFinding | None = None
    verification: FaceComparison | None = None
    part: FramePart | None = None
    face_distances: Annotated[tuple[FaceDistance | None, ...], Field(min_length=2, max_length=MAX_FRAMES)] | None = None
    pixels: Annotated[tuple[Digest | None, ...], Field(min_length=1, max_length=MAX_FRAMES)] | None = None
    frame_hashes: Annotated[tuple[KeyedImageHashes, ...], Field(min_length=1, max_length=MOST_HASHES)] | None = None
    content: Digest | None = None
    session_image: SessionImage | None = None
    analysis: CheckedAnalysis | None = None
    analyses: Annotated[tuple[CheckedAnalysis, ...], Field(min_length=2, max_length=MAX_FRAMES)] | None = None
    refusal: Refusal | None = None
    decided: str | None = None


#: Fields of a decision besides its ids (`stream.pipeline.decision.decision`).
_DECISION = {"timestamp", "status", "result", "error", "abuse", "policy", "models", "elapsed_ms"}
_WIRE = TypeAdapter(_Wire)
_NAMES = FIELDS | {
    *(name for model in (_Wire, _Origin, _Subject, _References, _Face) for name in model.model_fields),
    *(
        field.name
        for kind in (
            SubmissionIds,
            Refusal,
            KeyedImageHashes,
            SessionTerms,
            FrameContext,
            FramePart,
            CaptureFinding,
            FaceComparison,
            SessionImage,
        )
        for field in fields(kind)
    ),
}


def encode_detection(detection: Detection) -> bytes:
    further: dict[str, Any] = {name: value for name in _FURTHER if (value := getattr(detection, name))}
    if detection.face_distances:
        further["face_distances"] = tuple(map(_bounded, detection.face_distances))
    wire = _Wire.model_construct(
        version=1,
        ids=detection.ids,
        fingerprint=detection.fingerprint,
        appended_at_ms=detection.appended_at_ms,
        queue_ms=round(detection.queue_ms, 3),
        detection_ms=round(detection.detection_ms, 3),
        origin=_wire_origin(detection.origin),
        marks=_wire_references(detection.references),
        **further,
        **_wire_finding(detection.finding),
    )
    return _WIRE.dump_json(wire, exclude_unset=True)


def decode_detection(value: bytes | None, newer: set[str] | None = None) -> Detection:
    """The strict inverse; raises DetectionError. Readings and indications that a newer release named are left out, and
    their names added to `newer`."""
    if not value or len(value) > MAX_DETECTION_BYTES:
        raise DetectionError("the detection is empty or too large")
    try:
        wire = _WIRE.validate_json(value, context={NEWER_NAMES: set() if newer is None else newer})
    except ValidationError as error:
        raise DetectionError(f"missing, unknown or malformed: {faults(error, _NAMES, 'detection')}") from None
    return Detection(
        ids=wire.ids,
        fingerprint=wire.fingerprint,
        appended_at_ms=wire.appended_at_ms,
        finding=_finding(wire),
        origin=NOWHERE if wire.origin is None else _origin(wire.origin),
        references=_references(wire.marks),
        queue_ms=wire.queue_ms,
        detection_ms=wire.detection_ms,
        face_distances=wire.face_distances or (),
        **{name: value for name in _FURTHER if (value := getattr(wire, name))},
    )


def detection_output(detection: Detection, topic: str, source: str) -> Output:
    """The record for the detections topic, keyed by correlation id (by submission id where there is none)."""
    ids = detection.ids
    headers = binary_headers(
        EventType.DETECTION, event_id=detection.fingerprint, source=source, subject=ids.submission_id
    )
    key = (ids.correlation_id or ids.submission_id).encode()
    return Output(topic=topic, key=key, value=encode_detection(detection), headers=headers)


def _bounded(distance: float | None) -> float | None:
    """Distance to the digits that count. One beyond the range of unit vectors is as far as the farthest."""
    return None if distance is None else round(min(max(distance, 0.0), FARTHEST), 4)


def _wire_finding(finding: tuple[Analysis, ...] | Refusal | AlreadyDecided) -> dict[str, Any]:
    match finding:
        case (analysis,):  # as one frame has always been written
            return {"analysis": analysis}
        case tuple() as analyses:
            return {"analyses": analyses}
        case Refusal() as refusal:
            return {"refusal": refusal}
        case AlreadyDecided(decision=decision):
            return {"decided": base64.b64encode(decision).decode("ascii")}


def _wire_origin(origin: Origin) -> _Origin:
    subjects: dict[str, Any] = {
        name: each and _Subject.model_construct(key=each.key, former=list(each.former))
        for name in _SUBJECTS
        for each in [getattr(origin, name)]
    }
    return _Origin.model_construct(**subjects, networks=list(origin.networks), as_expected=origin.as_expected)


def _origin(wire: _Origin) -> Origin:
    subjects = {
        name: Subject(type=SubjectType(name), key=each.key, former=tuple(each.former))
        for name in _SUBJECTS
        if (each := getattr(wire, name)) is not None
    }
    return Origin(**subjects, networks=tuple(wire.networks), as_expected=wire.as_expected)


def _wire_references(references: ReuseReferences) -> _References:
    face = None
    if (template := references.face) is not None:
        packed = base64.b64encode(template.packed).decode("ascii")
        face = _Face.model_construct(model=template.model, key_id=template.key_id, packed=packed)
    return _References.model_construct(face=face, picture=list(references.picture))


def _references(wire: _References | None) -> ReuseReferences:
    if wire is None:
        return NO_REFERENCES
    template = None
    if (face := wire.face) is not None:
        try:
            template = template_from(face.model, face.key_id, base64.b64decode(face.packed, validate=True))
        except ValueError:
            raise DetectionError("marks.face is no print of a face") from None
    return ReuseReferences(face=template, picture=tuple(wire.picture))


def _finding(wire: _Wire) -> tuple[Analysis, ...] | Refusal | AlreadyDecided:
    present = [part for part in (wire.analysis, wire.analyses, wire.refusal, wire.decided) if part is not None]
    if len(present) != 1:
        raise DetectionError("exactly one of analysis, refusal and decided must be there")
    match present[0]:
        case Analysis() as analysis:
            return (analysis,)
        case str() as encoded:
            return AlreadyDecided(decision=_decision_of(wire, encoded))
        case found:
            return found


def _decision_of(wire: _Wire, encoded: str) -> bytes:
    """The bytes of a decision about this very submission: they are published as they are."""
    try:
        decision = base64.b64decode(encoded, validate=True)
        document = orjson.loads(decision)
    except ValueError:
        raise DetectionError("decided is not a decision") from None
    if not isinstance(document, dict) or document.get("request_id") != request_id(wire.ids, wire.fingerprint):
        raise DetectionError("decided is not a decision on this submission")
    ids = asdict(wire.ids)
    if ids["session_id"] is None:
        del ids["session_id"]  # which the decision may have from the token
    if any(document.get(name) != value for name, value in ids.items()) or not document.keys() >= _DECISION:
        raise DetectionError("decided is not a whole decision")
    return decision
