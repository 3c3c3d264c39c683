"""Alignment: a face cut out of its frame as a chip, upright and at the size a network was trained on.

A similarity transform (no shear: S. Umeyama, "Least-squares estimation of transformation parameters between
two point patterns", IEEE PAMI 13(4), 1991) takes the face's anchors to their places on the chip. Where the frame
is finer than the chip, the frame is first halved with a 5x5 Gaussian, as often as fits, then read bilinearly: dlib cuts
chips in this way, and dlib's network was trained on such chips.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

#: Beyond this many halvings nothing of the picture would be left.
_MOST_HALVINGS = 8
#: Pixels around the chip's outline that the halving's filter still reads.
_MARGIN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipGeometry:
    """Geometry of a chip: how a face lies on the square a network was trained on.

    Each of `landmarks` is a group of mesh landmarks whose mean is one anchor; `points` are the anchors' places
    on the chip, pixels from the centre of its first pixel, x right, y down, in the same order. No face fits
    all points exactly; `fitted_on` is where the squared errors are summed: on the chip as ArcFace does, or on the
    frame as dlib does (the chip of a turned head then shows less around it).
    """

    side: int
    landmarks: tuple[tuple[int, ...], ...]
    points: tuple[tuple[float, float], ...]
    fitted_on: Literal["chip", "frame"] = "chip"


def anchors(landmarks: NDArray[np.float32], geometry: ChipGeometry) -> NDArray[np.float64]:
    """float64 (n, 2): the mean of each group of landmarks, pixels of the frame."""
    points = landmarks[:, :2].astype(np.float64)
    return np.stack([points[list(group)].mean(axis=0) for group in geometry.landmarks])


def placement(landmarks: NDArray[np.float32], geometry: ChipGeometry) -> NDArray[np.float64]:
    """float64 (2, 3): frame pixels to chip pixels; raises ValueError if the anchors lie in one place."""
    on_frame, on_chip = anchors(landmarks, geometry), np.array(geometry.points, np.float64)
    if geometry.fitted_on == "chip":
        return similarity(on_frame, on_chip)
    back = similarity(on_chip, on_frame)
    turn = np.linalg.inv(back[:, :2])
    return np.hstack([turn, -turn @ back[:, 2:]])


def similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The (2, 3) rotation, uniform scale and shift that takes `source` (n, 2) nearest to `target` (n, 2)."""
    from_centre, to_centre = source.mean(axis=0), target.mean(axis=0)
    moved, wanted = source - from_centre, target - to_centre
    spread = float((moved * moved).sum())
    if not spread > 1e-9:
        raise ValueError("the anchors lie in one place")
    # In the plane the SVD of Umeyama's solution has a closed form: a rotation is a complex number.
    cosine = float((moved * wanted).sum()) / spread
    sine = float((moved[:, 0] * wanted[:, 1] - moved[:, 1] * wanted[:, 0]).sum()) / spread
    if not math.hypot(cosine, sine) > 1e-9:
        raise ValueError("the anchors do not fit the chip")
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return np.hstack([turn, (to_centre - turn @ from_centre)[:, None]])


def cut(bgr: NDArray[np.uint8], place: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """uint8 (side, side, 3) RGB; black where the chip reaches outside the frame."""
    return np.asarray(cv2.cvtColor(warp(bgr, place, side, cv2.BORDER_CONSTANT), cv2.COLOR_BGR2RGB), np.uint8)


def warp(pixels: NDArray[np.uint8], place: NDArray[np.float64], side: int, border: int) -> NDArray[np.uint8]:
    """The square at `place`, uint8 (side, side[, channels]); `border` is OpenCV's way to go on beyond the edge.

    Raises ValueError if the square lies wholly outside the frame.
    """
    region, place = _region(pixels, place, side)
    if not region.size:
        raise ValueError("the face lies outside the frame")
    for _ in range(_halvings(place)):
        region = np.asarray(cv2.pyrDown(region), np.uint8)
        place = place @ np.diag([2.0, 2.0, 1.0])
    square = cv2.warpAffine(region, place, (side, side), flags=cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(square, np.uint8)


def corners(place: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """float64 (4, 2): the chip's corners on the frame."""
    outline = np.array([[0, 0], [side - 1, 0], [side - 1, side - 1], [0, side - 1]], np.float64)
    return (outline - place[:, 2]) @ np.linalg.inv(place[:, :2]).T


def _halvings(place: NDArray[np.float64]) -> int:
    """Number of times the frame can be halved and still be as fine as the chip."""
    finer = 1.0 / math.hypot(place[0, 0], place[1, 0])
    return min(_MOST_HALVINGS, max(0, math.floor(math.log2(finer))))


def _region(
    pixels: NDArray[np.uint8], place: NDArray[np.float64], side: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The part of the frame that the chip is read from, and the placement counted from its corner."""
    height, width = pixels.shape[:2]
    margin = _MARGIN * 2 ** _halvings(place)
    outline = corners(place, side)
    left, top = (max(0, math.floor(edge) - margin) for edge in outline.min(axis=0))
    right, bottom = (math.ceil(edge) + margin + 1 for edge in outline.max(axis=0))
    moved = place.copy()
    moved[:, 2] += place[:, :2] @ np.array([left, top], np.float64)
    return pixels[top : min(bottom, height), left : min(right, width)], moved
