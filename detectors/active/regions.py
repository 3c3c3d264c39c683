"""Light of a frame's regions: mean linear RGB of forehead, nose, cheeks, sides of the face, chin and background.

A screen before the face lights nose and front cheeks most, the sides towards the ears less (Lambert's cosine law), and
the room behind next to nothing (inverse square law). A picture of a face gets the same light all over.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.contract_measures import LIGHT_REGIONS, RegionLight
from detectors.exposure import CLIPPED_FROM
from detectors.face_mesh import Face
from detectors.frame import WorkingFrame

#: Landmarks around each region of the face, in a circle.
_POLYGONS: dict[str, tuple[int, ...]] = {
    "forehead": (67, 109, 10, 338, 297, 299, 9, 69),
    "nose": (6, 198, 129, 2, 358, 420),
    "cheek_right": (118, 119, 100, 126, 205, 207),
    "cheek_left": (347, 348, 329, 355, 425, 427),
    "side_right": (127, 234, 93, 132, 177, 137, 227),
    "side_left": (356, 454, 323, 361, 401, 366, 447),
    "chin": (194, 201, 200, 421, 418, 377, 152, 148),
}
#: The background begins that many widths of the face from its middle, and ends at the chin: the body is below.
_BESIDE = 0.85
#: Fewer pixels are no region.
_FEWEST_PIXELS = 30


def _linear() -> NDArray[np.float32]:
    level = np.arange(256) / 255
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4).astype(np.float32)


_LINEAR = _linear()
#: Grey of blue, green and red, as OpenCV makes the grey of a frame (ITU-R BT.601).
_LUMA = np.array([0.114, 0.587, 0.299], np.float32)


def light_of(frame: WorkingFrame, face: Face) -> tuple[RegionLight | None, ...]:
    """Light of `LIGHT_REGIONS` in their order. Called by `measuring.measure`; raises nothing for a face at the edge."""
    inside = {name: _inside(frame, face, polygon) for name, polygon in _POLYGONS.items()}
    inside["background"] = _background(frame, face)
    return tuple(_mean(inside[name]) for name in LIGHT_REGIONS)


def _inside(frame: WorkingFrame, face: Face, polygon: tuple[int, ...]) -> NDArray[np.uint8]:
    """Pixels (n, 3) BGR inside a polygon of landmarks."""
    corners = np.rint(face.landmarks[list(polygon), :2]).astype(np.int32)
    left, top = np.maximum(corners.min(axis=0), 0)
    right, bottom = np.minimum(corners.max(axis=0) + 1, (frame.width, frame.height))
    if right <= left or bottom <= top:
        return np.empty((0, 3), np.uint8)
    mask = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(corners - (left, top)), 1)
    return np.asarray(frame.bgr[top:bottom, left:right][mask > 0], np.uint8)


def _background(frame: WorkingFrame, face: Face) -> NDArray[np.uint8]:
    """Pixels (n, 3) BGR beside the head, above the chin; every second one in each direction."""
    middle, reach = face.box.middle[0], _BESIDE * face.box.width
    left, right, bottom = max(0, int(middle - reach)), max(0, int(middle + reach)), max(0, int(face.box.bottom))
    beside = (frame.bgr[:bottom:2, :left:2], frame.bgr[:bottom:2, right::2])
    return np.concatenate([pixels.reshape(-1, 3) for pixels in beside])


def _mean(pixels: NDArray[np.uint8]) -> RegionLight | None:
    if len(pixels) < _FEWEST_PIXELS:
        return None
    blue, green, red = (round(float(_LINEAR[pixels[:, channel]].mean()), 5) for channel in range(3))
    clipped = float((pixels @ _LUMA >= CLIPPED_FROM).mean())
    return RegionLight(red=red, green=green, blue=blue, clipped=round(clipped, 4))
