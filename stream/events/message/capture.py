"""Capture finding: what was found of a client's statement about a capture. Values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from config.strict_json import BrokenRule, StrictJson
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
