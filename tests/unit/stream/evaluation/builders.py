"""Presentations with their analyses, and a pool, for tests of `liveness evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from config.catalogues.error_codes import ErrorCode
from detectors.contract import Analysis, Frame
from stream.evaluation.analysing import AnalysedPresentation
from stream.evaluation.picture_set import Presentation, PresentationLabel
from tests.unit.stream.evaluation.picture_reader import PictureReader, analysis

BONA_FIDE, ATTACK = PresentationLabel.BONA_FIDE, PresentationLabel.ATTACK


def presentation(name: str, species: str = "", source: str = "lab", root: Path = Path()) -> Presentation:
    label = ATTACK if species else BONA_FIDE
    return Presentation(path=root / name, name=name, label=label, species=species, source=source)


def analysed(name: str, liveness: float | ErrorCode, species: str = "", source: str = "lab") -> AnalysedPresentation:
    finding = Analysis(error=liveness) if isinstance(liveness, ErrorCode) else analysis(liveness)
    return AnalysedPresentation(presentation(name, species, source), finding, f"sha of {name}")


class PoolInProcess:
    """Pool without processes, whose analyser reads the picture."""

    async def start(self) -> None: ...

    async def stop(self, grace_s: float = 5.0) -> None: ...

    async def analyse(self, frames: Sequence[Frame], *, measured: bool = False) -> tuple[Analysis, ...]:
        return tuple(PictureReader().analyse(memoryview(frame.image)) for frame in frames)
