"""Detection part: what a detector group of another process or language found on one record of the submissions topic.

The contract is docs/DETECTOR_GROUPS.md and docs/schemas/detection-part.v1.json. A part may only lower a verdict, and
its bytes are a stranger's: bounded, read strictly, quoted nowhere.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar

import orjson
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from config.detector_groups import NAME, PREFIX
from config.strict_json import BrokenRule, StrictJson, faults
from detectors.contract import MAX_FRAMES, ModelVersion, Reading, ReadingStatus
from detectors.contract_fields import Sha256, Share
from stream.events.message.ids import SubmissionIds
from stream.events.message.messages import Record
from stream.events.message.session_terms import FramePart
from stream.events.wire.cloud_events import ATTRIBUTE_PREFIX, EventType

MAX_PART_BYTES = 16 * 1024
MOST_READINGS = MOST_MODELS = 8
#: Livenesses are published to so many digits, and compared with them when a result comes twice.
DIGITS = 4
_TYPE = (f"{ATTRIBUTE_PREFIX}type", str(EventType.DETECTION_PART).encode())
_ReadingName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
_Reason = Annotated[str, StringConstraints(pattern=r"^([a-z][a-z0-9_]{0,31})?$")]
_Words = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"


class PartError(ValueError):
    """Refusal of a record that is no detection part; the message names what is wrong and quotes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupReading(StrictJson):
    """Reading of a detector group, as it is sent: the fields of `detectors.contract.Reading`, with shorter texts and a
    name of the group's own."""

    name: _ReadingName
    label: Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=_Words)]
    status: ReadingStatus
    liveness: Share
    reason: _Reason
    detail: Annotated[str, StringConstraints(max_length=300, pattern=_Words)]

    def __post_init__(self) -> None:
        if self.status is not ReadingStatus.SCORED and self.liveness:
            raise BrokenRule("only a scored reading carries a liveness")


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionPart(StrictJson):
    """Result of a detector group on one record. `image_sha256`: of each picture's file as decoded from the record, in
    the order of the frames. `part`: place of the record's frame, null unless the submission is a record a frame."""

    __newer_fields__: ClassVar[frozenset[str]] = frozenset()

    version: Annotated[int, Field(ge=1, le=1)]
    group: Annotated[str, StringConstraints(pattern=NAME)]
    ids: SubmissionIds
    part: FramePart | None
    image_sha256: Annotated[tuple[Sha256, ...], Field(min_length=1, max_length=MAX_FRAMES)]
    readings: Annotated[tuple[GroupReading, ...], Field(min_length=1, max_length=MOST_READINGS)]
    models: Annotated[tuple[ModelVersion, ...], Field(max_length=MOST_MODELS)]

    def __post_init__(self) -> None:
        if len({reading.name for reading in self.readings}) < len(self.readings):
            raise BrokenRule("two readings have one name")

    @property
    def content(self) -> str:
        return content_digest(self.ids, self.image_sha256)

    @property
    def digest(self) -> str:
        """128 bits over what counts of the result: the same again when the group answers a record a second time."""
        told = [[each.name, each.status, round(each.liveness, DIGITS), each.reason] for each in self.readings]
        models = [[each.name, each.version, each.sha256] for each in self.models]
        return hashlib.sha256(orjson.dumps([self.group, self.content, told, models])).hexdigest()[:32]

    def shown(self) -> tuple[Reading, ...]:
        """Readings under the names that a decision shows."""
        named = f"{PREFIX}{self.group}_"
        return tuple(
            Reading(
                name=named + each.name,
                label=each.label,
                status=each.status,
                liveness=each.liveness,
                reason=each.reason and named + each.reason,
                detail=each.detail,
            )
            for each in self.readings
        )


_PART = TypeAdapter(DetectionPart)
_NAMES = {
    field.name
    for kind in (DetectionPart, GroupReading, SubmissionIds, FramePart, ModelVersion)
    for field in fields(kind)
}


def content_digest(ids: SubmissionIds, image_sha256: tuple[str, ...]) -> str:
    """128 bits over the pictures of a record, bound to the submission's ids: tells nothing of the pictures to somebody
    who has not got them, and is compared only within one submission."""
    named = [ids.tenant, ids.submission_id, ids.correlation_id, ids.session_id, ids.resource_id, list(image_sha256)]
    return hashlib.sha256(orjson.dumps(["content", *named])).hexdigest()[:32]


def is_part(record: Record) -> bool:
    """Whether a record of the detections topic is, by its own word, the result of a detector group."""
    return _TYPE in record.headers


def decode_part(value: bytes | None) -> DetectionPart:
    """Strict reading of a record's value; raises PartError."""
    if not value or len(value) > MAX_PART_BYTES:
        raise PartError("the detection part is empty or too large")
    try:
        return _PART.validate_json(value)
    except ValidationError as error:
        raise PartError(f"missing, unknown or malformed: {faults(error, _NAMES, 'detection part')}") from None


def encode_part(part: DetectionPart) -> bytes:
    return _PART.dump_json(part)
