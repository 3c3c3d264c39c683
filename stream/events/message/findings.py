"""Findings beside the analysis, as a detection carries them: on the capture, the face and the image to publish, and
those of detector groups. Values only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from config.catalogues.challenges import MOST_FRAMES
from config.strict_json import BrokenRule, StrictJson
from detectors.contract import ModelVersion, Reading
from detectors.contract_fields import OptionalCode, Sha256
from stream.encryption.capture_claims import CameraLabel, CaptureChannel


class Attestation(StrEnum):
    """Attestation of a capture as published."""

    ATTESTED = "attested"
    NOT_ATTESTED = "not_attested"
    FORGED = "forged"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureFinding(StrictJson):
    """Finding on a capture's attestation. Channel and camera are those of a statement that is right, None otherwise:
    nothing of a forged one is believed."""

    attestation: Attestation
    channel: CaptureChannel | None = None
    camera: CameraLabel | None = None

    def __post_init__(self) -> None:
        attested = self.attestation is Attestation.ATTESTED
        if {self.channel is not None, self.camera is not None} != {attested}:
            raise BrokenRule("channel and camera go with an attested capture")


NOT_ATTESTED = CaptureFinding(attestation=Attestation.NOT_ATTESTED)
FORGED = CaptureFinding(attestation=Attestation.FORGED)


def joined_capture(findings: Sequence[CaptureFinding | None]) -> CaptureFinding | None:
    """Finding on a submission of several records, for the join: the worst of its records'. Statements that name two
    channels or cameras are of no one capture. None where no record has a finding."""
    given = {each for each in findings if each is not None}
    if not given:
        return None
    if FORGED in given:
        return FORGED
    if NOT_ATTESTED in given or None in findings:
        return NOT_ATTESTED
    return given.pop() if len(given) == 1 else FORGED


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceComparison(StrictJson):
    """Comparison with the reference: `strangers` is the share of pairs of strangers, from 0 to 1, that look at least as
    much alike; None with the `reason`, in snake_case, why nothing was compared."""

    strangers: Annotated[float, Field(ge=0, le=1)] | None = None
    reason: OptionalCode = ""

    def __post_init__(self) -> None:
        if (self.strangers is None) is not bool(self.reason):
            raise BrokenRule("a comparison has either a share or a reason")


class GroupFault(StrEnum):
    """Fault of a detector group's result; the value is a reason code of the decision."""

    #: No result for every frame before the deadline.
    MISSING = "group_missing"
    #: Two results that differ, or a result for other pictures.
    CONTRADICTORY = "group_contradictory"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupResult:
    """Result of one detector group on a submission: the readings of all frames, or the fault."""

    group: str
    readings: tuple[Reading, ...] = ()
    models: tuple[ModelVersion, ...] = ()
    fault: GroupFault | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionImage(StrictJson):
    """Session image by the index of the frame and the SHA-256 of the frame's file; both None where no frame shows a
    face. `reason`: why the picture was not published, in snake_case."""

    frame: Annotated[int, Field(ge=0, lt=MOST_FRAMES)] | None
    sha256: Sha256 | None
    published: bool
    reason: OptionalCode

    def __post_init__(self) -> None:
        if self.published is bool(self.reason) or (self.frame is None) is not (self.sha256 is None):
            raise BrokenRule("a session image that is not published has a reason, and a frame has a digest")
