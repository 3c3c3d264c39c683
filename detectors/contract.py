"""The contract of detectors: frames in, readings out. Values only, no I/O.

Liveness lies in [0, 1] everywhere: 1 = bona fide, 0 = presentation attack (ISO/IEC 30107-1). A detector that can't
measure abstains or fails, with the reason, and never answers a bare float or None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar, Protocol

from pydantic import Field

from config.catalogues.detector_catalogue import KNOWN
from config.catalogues.error_codes import ErrorCode
from config.catalogues.injection import INDICATIONS
from config.catalogues.pad_networks import PREFIX
from config.detector_groups import PREFIX as GROUP_PREFIX
from config.strict_json import Bits64, StrictJson, UnknownName
from detectors.contract_fields import (
    MAX_ITEMS,
    Code,
    Items,
    LocalTime,
    Milliseconds,
    OptionalCode,
    Sha256,
    Share,
    Text,
    Vector,
)
from detectors.contract_measures import FrameMeasures
from detectors.newer_names import MaybeNewer, WithoutNewer


class ReadingStatus(StrEnum):
    """Whether a signal measured: only SCORED counts as evidence."""

    SCORED = "scored"
    ABSTAINED = "abstained"
    FAILED = "failed"


class UnknownReading(UnknownName):
    """A reading whose name is neither in the detector catalogue nor that of a presentation-attack network: nobody
    would weigh, label or show the reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(StrictJson):
    """Reading of one signal on one frame (a PAD sub-score, in the words of ISO/IEC 30107-3).

    `liveness` is in [0, 1] (1 = bona fide) and 0 unless `status` is SCORED, so that a missing reading can
    lower a verdict but never raise it. `reason` is a snake_case code of what was found (for example
    `face_too_small`), empty when nothing is amiss. `detail` is plain words, safe to show and to log: measurements,
    never pixels, landmarks or text out of the file.
    """

    name: Code
    label: Text
    status: ReadingStatus
    liveness: Share = 0.0
    reason: OptionalCode = ""
    detail: Text

    def __post_init__(self) -> None:
        if not 0.0 <= self.liveness <= 1.0:  # also refuses NaN
            raise ValueError(f"{self.name}: liveness {self.liveness} is outside [0, 1]")
        if self.status is not ReadingStatus.SCORED and self.liveness:
            raise ValueError(f"{self.name}: only a scored reading carries a liveness")
        if (
            self.name not in KNOWN and not self.is_of_network and not self.is_of_group
        ):  # last: a newer release's reading is right but for this
            raise UnknownReading("a reading of a signal that is not in the catalogue", self.name)

    @property
    def is_of_network(self) -> bool:
        """Whether a presentation-attack network made the reading, by the reading's name."""
        return self.name.startswith(PREFIX)

    @property
    def is_of_group(self) -> bool:
        """Whether a detector group of another process made the reading, by the reading's name."""
        return self.name.startswith(GROUP_PREFIX)


class UnknownIndication(UnknownName):
    """An indication whose code is not in `config.catalogues.injection`: nobody would weigh or label the indication."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Indication(StrictJson):
    """Indication of an injection attack: a `code` of the catalogue, and what was found in plain words, which quote
    nothing of the file."""

    code: Code
    detail: Text

    def __post_init__(self) -> None:
        if self.code not in INDICATIONS:
            raise UnknownIndication("an indication that is not in the catalogue", self.code)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion(StrictJson):
    """Model file that took part in an analysis: `sha256` of the file's bytes, lower-case hex."""

    name: Text
    version: Text
    sha256: Sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Template(StrictJson):
    """Face template: a face as numbers that compare. Biometric: never in a log, a published event or test output.

    `vector`: float32, little-endian bytes, finite. Only templates with the same `model` and `model_sha256`
    compare: the hash is of the model's file and of the way the model is fed (`TemplateSpec.space_sha256`).
    """

    model: Code
    model_sha256: Sha256
    vector: Vector = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureHashes(StrictJson):
    """Hashes by which a picture is found again.

    `pixels_sha256` is of the decoded working frame with its size, so that metadata, file name and a
    lossless copy change nothing. `perceptual` has 64 bits, laid on the face; few bits differ between copies
    that were compressed, scaled, brightened or cropped anew (`detectors/picture_hash.py` says how few).
    """

    pixels_sha256: Sha256 = field(repr=False)
    perceptual: Bits64 = field(repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.perceptual < 2**64:
            raise ValueError("a perceptual hash has 64 bits")


#: Frames of one submission: what an event costs is bounded before anything is analysed.
MAX_FRAMES = 16

#: Steps of an analysis in their order, by their names in `Analysis.elapsed_ms`; networks only where some take part,
#: measures only where the job asks for them.
ANALYSIS_STEPS = ("gate", "decode", "mesh", "framing", "signals", "networks", "template", "hashes", "measures")


@dataclass(frozen=True, slots=True)
class Frame:
    """Frame: one image file of a submission, as sent: JPEG, PNG, WebP or BMP. A passive selfie is one frame."""

    image: bytes | memoryview = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis(StrictJson):
    """Analysis of one frame, as a slot process sends it back: small, no pixels.

    Either `error` is set and there are no readings, or every active signal has one reading.
    `notes` are reason codes that concern the picture as a whole and move no score (for example
    `trailing_data`, `bystander`, `rotation_over_limit`); beside an error they say what is amiss with
    the file (for example `image_incomplete`). There is a `template`, or `template_reason` says why
    not, in snake_case (for example `face_cut_off`); both are empty beside an error, where `picture` is None
    too. `elapsed_ms` is wall time by step (`ANALYSIS_STEPS`); `cpu_ms` is the whole process's processor time, all
    threads. `indications` of injection are what the file tells, and `taken_at` is the camera's local time in ISO 8601,
    if the file has one. `measures` for active liveness are there only if the job asked for them, and nothing broke.
    """

    __newer_fields__: ClassVar[frozenset[str]] = frozenset(("indications", "taken_at", "measures"))

    error: ErrorCode | None = None
    message: Text = ""
    face_detected: bool = False
    readings: Annotated[Items[MaybeNewer[Reading]], WithoutNewer] = ()
    notes: Items[Code] = ()
    models: Items[ModelVersion] = ()
    template: Template | None = None
    template_reason: OptionalCode = ""
    picture: PictureHashes | None = None
    elapsed_ms: Annotated[Mapping[Code, Milliseconds], Field(max_length=MAX_ITEMS)] = field(default_factory=dict)
    cpu_ms: Milliseconds = 0.0
    indications: Annotated[Items[MaybeNewer[Indication]], WithoutNewer] = ()
    taken_at: LocalTime = ""
    measures: FrameMeasures | None = None


class Analyser(Protocol):
    """Analyser of a slot process. Built once in each slot, called for one frame after the other.

    `analyse` may block, crash or raise; the view is valid until `analyse` returns. `measured` asks for the measures of
    active liveness; `rest` are those of the job's first frame, for the frames after it.
    """

    def analyse(
        self, image: memoryview, /, *, measured: bool = False, rest: FrameMeasures | None = None
    ) -> Analysis: ...


class ImageRefused(Exception):
    """Refusal of a picture that can't be analysed and that the sender can mend: `code`, words that quote nothing
    of the picture, and a `reason` code where `code` alone doesn't say what the person can do."""

    def __init__(self, code: ErrorCode, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
