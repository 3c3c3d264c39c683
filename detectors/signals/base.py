"""The signal port, the observation that signals read, and the way from a measurement to a reading."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from config.catalogues.detector_catalogue import KNOWN
from detectors.contract import Reading, ReadingStatus
from detectors.exif import ExifFacts
from detectors.face_mesh import Face, Pose
from detectors.frame import WorkingFrame

#: `passed` of the published signal table.
PASS_MARK = 0.5
#: Scores from here on are said without reserve.
GOOD_MARK = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceObservation:
    """Face on a decoded frame: the same, read-only value for every signal."""

    frame: WorkingFrame
    face: Face
    pose: Pose
    exif: ExifFacts


class Signal(Protocol):
    """Signal: one passive check of a frame. Built once per process with its tables, then called for each frame."""

    @property
    def name(self) -> str: ...

    def read(self, seen: FaceObservation) -> Reading:
        """Reading of one face. Called by the analysis; pure, may be repeated. Whatever is raised becomes a FAILED
        reading of this signal only."""


class Curve:
    """Score map: piecewise linear through `(x, y)` points with rising x, constant outside; y is liveness in [0, 1]."""

    def __init__(self, *points: tuple[float, float]) -> None:
        xs, ys = zip(*points, strict=True)
        if any(after <= before for before, after in pairwise(xs)):
            raise ValueError(f"curve points must rise in x: {xs}")
        if any(not 0.0 <= y <= 1.0 for y in ys):
            raise ValueError(f"curve values must lie in [0, 1]: {ys}")
        self._xs, self._ys = np.array(xs, np.float64), np.array(ys, np.float64)

    def __call__(self, x: float) -> float:
        return float(np.interp(x, self._xs, self._ys))


@dataclass(frozen=True, slots=True)
class Words:
    """Plain words for a finding: from `GOOD_MARK` on, from the pass mark on, and below."""

    good: str
    fair: str
    poor: str

    def about(self, liveness: float, measure: str) -> str:
        """A reading's detail: what was found, then the measure."""
        words = self.good if liveness >= GOOD_MARK else self.fair if liveness >= PASS_MARK else self.poor
        return f"{words} ({measure})."


def scored(signal: Signal, liveness: float, detail: str, *, weak: str) -> Reading:
    """SCORED reading; below the pass mark `weak` is its reason."""
    return Reading(
        name=signal.name,
        label=KNOWN[signal.name].label,
        status=ReadingStatus.SCORED,
        liveness=liveness,
        reason=weak if liveness < PASS_MARK else "",
        detail=detail,
    )
