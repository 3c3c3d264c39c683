"""What every signal is given, and the one way from a measurement to a reading."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from detectors.contract import Reading, ReadingStatus
from detectors.exif import ExifFacts
from detectors.face_mesh import Face, Pose
from detectors.frame import Frame

#: `passed` of the published signal table.
PASS_MARK = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One decoded picture with its one face: the same for every signal, read-only."""

    frame: Frame
    face: Face
    pose: Pose
    exif: ExifFacts


class Signal(Protocol):
    """One passive check. Built once per process (tables and maps included), then called per picture.

    `read` is pure and does not block; whatever it raises becomes a FAILED reading.
    """

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str: ...

    def read(self, seen: Observation) -> Reading: ...


class Curve:
    """A piecewise linear map through `(x, y)` points with rising x, constant outside; y in [0, 1]."""

    def __init__(self, *points: tuple[float, float]) -> None:
        xs, ys = zip(*points, strict=True)
        if any(after <= before for before, after in pairwise(xs)):
            raise ValueError(f"curve points must rise in x: {xs}")
        if any(not 0.0 <= y <= 1.0 for y in ys):
            raise ValueError(f"curve values must lie in [0, 1]: {ys}")
        self._xs, self._ys = np.array(xs, np.float64), np.array(ys, np.float64)

    def __call__(self, x: float) -> float:
        return float(np.interp(x, self._xs, self._ys))


def scored(signal: Signal, liveness: float, detail: str, *, weak: str) -> Reading:
    """A SCORED reading; below the pass mark it carries `weak` as its reason."""
    return Reading(
        name=signal.name,
        label=signal.label,
        status=ReadingStatus.SCORED,
        liveness=liveness,
        reason=weak if liveness < PASS_MARK else "",
        detail=detail,
    )


def failed(signal: Signal, reason: str, detail: str) -> Reading:
    """A FAILED reading: the check broke, which is no evidence either way."""
    return Reading(name=signal.name, label=signal.label, status=ReadingStatus.FAILED, reason=reason, detail=detail)
