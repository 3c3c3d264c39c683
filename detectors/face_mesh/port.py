"""The port of the mesh: one working frame in, faces out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.contract import ModelVersion

#: Faces looked for: enough to tell a couple and a bystander apart, each further one costs a mesh run.
MAX_FACES = 4


@dataclass(frozen=True, slots=True)
class Box:
    """Box along the axes, in pixels of the working frame, x right, y down; may reach outside the frame."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def area(self) -> float:
        return self.width * self.height

    @property
    def middle(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def covers(self, other: Box) -> bool:
        """Whether two boxes are of the same face: the smaller one lies to one half or more inside the larger."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0.0) * max(height, 0.0) >= 0.5 * min(self.area, other.area)

    def clipped(self, width: int, height: int) -> Box:
        """Part of the box inside a frame of width and height in pixels; zero area if nothing is inside."""
        left, top = min(max(self.left, 0.0), width), min(max(self.top, 0.0), height)
        return Box(left, top, max(left, min(self.right, width)), max(top, min(self.bottom, height)))

    def cut(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Pixels (height, width[, channels]) that the box touches; of a clipped one."""
        return pixels[int(self.top) : int(self.bottom) + 1, int(self.left) : int(self.right) + 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """Face on a working frame.

    `landmarks`: float32 (468 or 478, 3), pixels of the working frame, x right, y down, z in the same
    scale as x, smaller = nearer to the camera (MediaPipe's numbering; 468 and up are the irises).
    `box`: the landmarks' extent. `transform`: float64 (4, 4), canonical face model (centimetres, x right,
    y up, z towards the camera) to camera space, columns hold rotation times scale.
    """

    landmarks: NDArray[np.float32]
    box: Box
    transform: NDArray[np.float64]


class FaceMesh(Protocol):
    """Face mesh of a slot process: one per process, not thread-safe, holds native memory until `close`."""

    @property
    def models(self) -> tuple[ModelVersion, ...]:
        """Model files in use, hashed when loaded."""

    def find(self, bgr: NDArray[np.uint8]) -> tuple[Face, ...]:
        """Faces on a uint8 (height, width, 3) BGR working frame, largest box first; empty if there is none.

        Called once a frame by the analysis. Blocks a few milliseconds; raises RuntimeError or ValueError for whatever
        native code raises. May be repeated.
        """

    def close(self) -> None:
        """Free the native memory; no method may be called afterwards."""


def box_of(landmarks: NDArray[np.float32]) -> Box:
    """Box around landmarks (n, 3), pixels; irises lie inside."""
    left, top = landmarks[:, :2].min(axis=0)
    right, bottom = landmarks[:, :2].max(axis=0)
    return Box(float(left), float(top), float(right), float(bottom))


def to_pixels(normalised: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """MediaPipe's normalised landmarks (n, 3) to pixels; z is normalised by the width."""
    return normalised * np.array([width, height, width], np.float32)


def largest_first(faces: list[Face]) -> tuple[Face, ...]:
    return tuple(sorted(faces, key=lambda face: face.box.area, reverse=True))
