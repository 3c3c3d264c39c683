"""Presentations, analyses and an analyser for tests of `liveness evaluate`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from config.detector_catalogue import DETECTORS
from config.error_codes import ErrorCode
from detectors.contract import Analysis, Frame, Reading, ReadingStatus
from stream.evaluation.analysing import AnalysedPresentation
from stream.evaluation.picture_set import Presentation, PresentationLabel

BONA_FIDE, ATTACK = PresentationLabel.BONA_FIDE, PresentationLabel.ATTACK
JPEG_START = b"\xff\xd8\xff"


def analysis(liveness: float, changes: Mapping[str, float | None] = {}) -> Analysis:
    """Analysis in which every signal reads `liveness`, so that this is the confidence; None is a signal that failed."""
    return Analysis(
        face_detected=True,
        readings=tuple(_reading(name, changes.get(name, liveness)) for name in DETECTORS),
    )


def _reading(name: str, liveness: float | None) -> Reading:
    status = ReadingStatus.FAILED if liveness is None else ReadingStatus.SCORED
    return Reading(name=name, label=DETECTORS[name].label, status=status, liveness=liveness or 0.0, detail="d")


def presentation(name: str, species: str = "", source: str = "lab", root: Path = Path()) -> Presentation:
    label = ATTACK if species else BONA_FIDE
    return Presentation(path=root / name, name=name, label=label, species=species, source=source)


def analysed(name: str, liveness: float | ErrorCode, species: str = "", source: str = "lab") -> AnalysedPresentation:
    finding = Analysis(error=liveness) if isinstance(liveness, ErrorCode) else analysis(liveness)
    return AnalysedPresentation(presentation(name, species, source), finding, f"sha of {name}")


def picture(liveness: float | None = None, **told: object) -> bytes:
    """Picture that tells `PictureReader` what to answer."""
    return JPEG_START + json.dumps({"liveness": liveness, **told}).encode()


class PictureReader:
    """Analyser that answers as the picture says; `count` names a file that grows by a byte for each call."""

    def __init__(self, *_: object) -> None:
        pass

    def analyse(self, image: memoryview, *, measured: bool = False) -> Analysis:
        told = json.loads(bytes(image[len(JPEG_START) :]))
        if "count" in told:
            with Path(told["count"]).open("ab") as file:
                file.write(b".")
        if told["liveness"] is None:
            return Analysis(error=ErrorCode.NO_FACE_DETECTED)
        return analysis(told["liveness"])


class PoolInProcess:
    """Pool without processes, whose analyser reads the picture."""

    async def start(self) -> None: ...

    async def stop(self, grace_s: float = 5.0) -> None: ...

    async def analyse(self, frames: Sequence[Frame], *, measured: bool = False) -> tuple[Analysis, ...]:
        return tuple(PictureReader().analyse(memoryview(frame.image)) for frame in frames)
