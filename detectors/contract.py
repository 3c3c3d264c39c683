"""The contract of detectors: frames in, readings out. Values only, no I/O.

Liveness lies in [0, 1] everywhere: 1 = bona fide, 0 = presentation attack (ISO/IEC 30107-1). A detector that can't
measure abstains or fails, with the reason, and never answers a bare float or None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from config.detector_catalogue import DETECTORS
from config.error_codes import ErrorCode


class ReadingStatus(StrEnum):
    """Whether a signal measured: only SCORED counts as evidence."""

    SCORED = "scored"
    ABSTAINED = "abstained"
    FAILED = "failed"


class UnknownReading(ValueError):
    """A reading whose name is not in `config.detector_catalogue`: nobody would weigh, label or show the reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Reading of one signal on one frame (a PAD sub-score, in the words of ISO/IEC 30107-3).

    `liveness` is in [0, 1] (1 = bona fide) and 0 unless `status` is SCORED, so that a missing reading can
    lower a verdict but never raise it. `reason` is a snake_case code of what was found (for example
    `face_too_small`), empty when nothing is amiss. `detail` is plain words, safe to show and to log: measurements,
    never pixels, landmarks or text out of the file.
    """

    name: str
    label: str
    status: ReadingStatus
    liveness: float = 0.0
    reason: str = ""
    detail: str

    def __post_init__(self) -> None:
        if self.name not in DETECTORS:
            raise UnknownReading("a reading of a signal that is not in the catalogue")
        if not 0.0 <= self.liveness <= 1.0:  # also refuses NaN
            raise ValueError(f"{self.name}: liveness {self.liveness} is outside [0, 1]")
        if self.status is not ReadingStatus.SCORED and self.liveness:
            raise ValueError(f"{self.name}: only a scored reading carries a liveness")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """Model file that took part in an analysis: `sha256` of the file's bytes, lower-case hex."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """Face template: a face as numbers that compare. Biometric: never in a log, a published event or test output.

    `vector`: float32, little-endian bytes, finite. Only templates with the same `model` and `model_sha256`
    compare: the hash is of the model's file and of the way the model is fed (`TemplateSpec.space_sha256`).
    """

    model: str
    model_sha256: str
    vector: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureHashes:
    """Hashes by which a picture is found again.

    `pixels_sha256` is of the decoded working frame with its size, so that metadata, file name and a
    lossless copy change nothing. `perceptual` has 64 bits, laid on the face; few bits differ between copies
    that were compressed, scaled, brightened or cropped anew (`detectors/picture_hash.py` says how few).
    """

    pixels_sha256: str = field(repr=False)
    perceptual: int = field(repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.perceptual < 2**64:
            raise ValueError("a perceptual hash has 64 bits")


#: Frames of one submission: what an event costs is bounded before anything is analysed.
MAX_FRAMES = 16


@dataclass(frozen=True, slots=True)
class Frame:
    """Frame: one image file of a submission, as sent: JPEG, PNG, WebP or BMP. A passive selfie is one frame."""

    image: bytes | memoryview = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Analysis of one frame, as a slot process sends it back: small, no pixels.

    Either `error` is set and there are no readings, or every active signal has one reading.
    `notes` are reason codes that concern the picture as a whole and move no score (for example
    `trailing_data`, `bystander`, `rotation_over_limit`). There is a `template`, or `template_reason` says why
    not, in snake_case (for example `face_cut_off`); both are empty beside an error, where `picture` is None
    too. `elapsed_ms` is wall time by step: gate, decode, mesh, framing, signals, template, hashes; `cpu_ms` is
    the whole process's processor time, all threads.
    """

    error: ErrorCode | None = None
    message: str = ""
    face_detected: bool = False
    readings: tuple[Reading, ...] = ()
    notes: tuple[str, ...] = ()
    models: tuple[ModelVersion, ...] = ()
    template: Template | None = None
    template_reason: str = ""
    picture: PictureHashes | None = None
    elapsed_ms: Mapping[str, float] = field(default_factory=dict)
    cpu_ms: float = 0.0


class Analyser(Protocol):
    """Analyser of a slot process. Built once in each slot, called for one frame after the other.

    `analyse` may block, crash or raise; the view is valid until `analyse` returns.
    """

    def analyse(self, image: memoryview, /) -> Analysis: ...


class ImageRefused(Exception):
    """Refusal of a picture that can't be analysed and that the sender can mend: `code`, and words that quote nothing
    of the picture."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
