"""Square crops of a face as presentation-attack networks were trained on them."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.face_mesh import Box


def shifted(bgr: NDArray[np.uint8], box: Box, scale: float) -> NDArray[np.uint8]:
    """uint8 (height, width, 3): `scale` times the box, shrunk to the frame where needed and moved inside, as
    Silent-Face-Anti-Spoofing cuts (its generate_patches.py)."""
    height, width = bgr.shape[:2]
    scale, (x, y) = min((height - 1) / box.height, (width - 1) / box.width, scale), box.middle
    left, right = _inside(x, box.width * scale, width)
    top, bottom = _inside(y, box.height * scale, height)
    return bgr[top : bottom + 1, left : right + 1]


def square(bgr: NDArray[np.uint8], box: Box, scale: float) -> NDArray[np.uint8]:
    """uint8 (n, n, 3): `scale` times the longer side around the box's centre; what lies outside the frame is the frame
    reflected, or black where even the reflection has no pixels. Raises ValueError for a face outside the frame."""
    height, width = bgr.shape[:2]
    # A face never fills more than the frame, so that the work is bounded by the frame's size.
    side = max(1, int(min(max(box.width, box.height), height, width) * scale))
    left, top = (int(each - side / 2) for each in box.middle)
    part = bgr[max(0, top) : max(0, min(height, top + side)), max(0, left) : max(0, min(width, left + side))]
    if not part.size:
        raise ValueError("the face lies outside the frame")
    missing = (max(0, -top), max(0, top + side - height), max(0, -left), max(0, left + side - width))
    if not any(missing):
        return part
    reflects = all(each < part.shape[axis // 2] for axis, each in enumerate(missing))
    border = cv2.BORDER_REFLECT_101 if reflects else cv2.BORDER_CONSTANT
    return np.asarray(cv2.copyMakeBorder(part, *missing, border), np.uint8)


CROPS = {"shifted": shifted, "square": square}


def resized(crop: NDArray[np.uint8], side: int, filters: Literal["bilinear", "lanczos_or_area"]) -> NDArray[np.uint8]:
    """uint8 (side, side, 3) of a crop: bilinear, or Lanczos upwards and area averages downwards."""
    method = cv2.INTER_LINEAR
    if filters == "lanczos_or_area":
        method = cv2.INTER_LANCZOS4 if crop.shape[0] < side else cv2.INTER_AREA
    return np.asarray(cv2.resize(crop, (side, side), interpolation=method), np.uint8)


def _inside(centre: float, length: float, limit: int) -> tuple[int, int]:
    """First and last pixel of a stretch around `centre`, moved inside 0..limit - 1."""
    start = min(max(centre - length / 2, 0.0), limit - 1 - length)
    return int(max(start, 0.0)), int(min(max(start, 0.0) + length, limit - 1))
