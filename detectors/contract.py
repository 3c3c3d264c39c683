"""What a detector is given and what it answers: values only, no I/O.

Polarity is the same everywhere: liveness in [0, 1], 1 = live. A detector that can't say so abstains or
fails, with the reason; it never answers a bare float or None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from config.error_codes import ErrorCode


class ReadingStatus(StrEnum):
    SCORED = "scored"
    ABSTAINED = "abstained"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One signal's answer on one frame.

    `liveness` is in [0, 1] (1 = live) and 0 unless `status` is SCORED, so that a missing reading can
    lower a verdict but never raise it. `reason` is a snake_case code of what was found (for example
    `face_too_small`), empty when nothing is amiss. `detail` is plain words, safe to show and to log:
    measurements, never pixels, landmarks or text out of the file.
    """

    name: str
    label: str
    status: ReadingStatus
    liveness: float = 0.0
    reason: str = ""
    detail: str

    def __post_init__(self) -> None:
        if not 0.0 <= self.liveness <= 1.0:  # also refuses NaN
            raise ValueError(f"{self.name}: liveness {self.liveness} is outside [0, 1]")
        if self.status is not ReadingStatus.SCORED and self.liveness:
            raise ValueError(f"{self.name}: only a scored reading carries a liveness")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """A model file that took part: `sha256` of the file's bytes, lower-case hex."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A face as its model sees it. Biometric: never in a log, a published event or a test's output.

    `vector`: float32, little-endian bytes, finite. Only templates with the same `model` and `model_sha256`
    compare: the hash is of the model's file and of how it is fed (`TemplateSpec.space_sha256`).
    """

    model: str
    model_sha256: str
    vector: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureHashes:
    """What a picture is known again by.

    `pixels_sha256`: of the decoded working frame with its size, so the same file in other clothes (metadata,
    name, a lossless copy) is the same. `perceptual`: 64 bits, laid on the face; few bits differ between copies
    that were compressed, scaled, brightened or cropped anew (`detectors/picture_hash.py` says how few).
    """

    pixels_sha256: str = field(repr=False)
    perceptual: int = field(repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.perceptual < 2**64:
            raise ValueError("a perceptual hash has 64 bits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Everything one picture told: what a slot process sends back (small, no pixels).

    Either `error` is set and there are no readings, or every active signal has one reading.
    `notes` are reason codes that concern the picture as a whole and move no score (for example
    `trailing_data`, `bystander`, `rotation_over_limit`). `template` is there or `template_reason` says why
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


class ImageRefused(Exception):
    """The picture can't be analysed and the sender can mend it: `code` and words that quote nothing of it."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
