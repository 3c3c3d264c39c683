"""Scene features: corners beside the face that can be found again in another frame of the same room.

ORB (E. Rublee et al., "ORB: an efficient alternative to SIFT or SURF", ICCV 2011), spread over the frame, with every
second one of its 256 comparisons. At most 128 spots of 31 pixels are described, by order of grey levels only and with
half the comparisons, outside the face, and 64 inside with an eighth: from whole, dense descriptions crude patches can
be drawn again (E. d'Angelo et al., "Beyond bits: reconstructing images from local binary descriptors", ICPR 2012).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.contract_measures import DETAIL, FEATURE, MOST_DETAILS, MOST_FEATURES, PLACES
from detectors.face_mesh import Face
from detectors.frame import WorkingFrame

#: Features are looked for in so many cells each way, so that one busy corner doesn't take all of them.
_CELLS = 8
_CANDIDATES, _A_CELL = 800, 4
_OUTLINE = (10, 297, 284, 356, 454, 361, 365, 152, 136, 132, 234, 127, 54, 67)
#: Sizes of the outline about its middle: outside it hair, ears and neck move with the head, inside it all is the face.
_GROWN, _SHRUNK = 1.35, 0.95
#: FAST thresholds, grey levels; lower than OpenCV's 20, as walls and cheeks are dull.
_FAST, _FAST_INSIDE = 10, 5
_LEVELS = 3


def scene_of(frame: WorkingFrame, face: Face) -> bytes:
    """Features outside the face, packed (`FEATURE`), the strongest first. Called by `measuring.measure`."""
    detector = cv2.ORB.create(nfeatures=_CANDIDATES, nlevels=_LEVELS, fastThreshold=_FAST)
    outside = _filled(frame, face, _GROWN, inside=0, around=255)
    return _packed(frame, detector, _spread(detector.detect(frame.grey, outside), frame), FEATURE)


def details_of(frame: WorkingFrame, face: Face) -> bytes:
    """Features inside the face, packed (`DETAIL`). Called by `measuring.measure`."""
    detector = cv2.ORB.create(nfeatures=MOST_DETAILS, nlevels=_LEVELS, fastThreshold=_FAST_INSIDE)
    inside = _filled(frame, face, _SHRUNK, inside=255, around=0)
    return _packed(frame, detector, detector.detect(frame.grey, inside)[:MOST_DETAILS], DETAIL)


def _packed(frame: WorkingFrame, detector: cv2.ORB, chosen: Sequence[cv2.KeyPoint], item: np.dtype[np.void]) -> bytes:
    """Corners as items with the first of every second comparison, as many as an item holds."""
    corners, described = detector.compute(frame.grey, chosen)  # without those too near to the frame's edge
    if not corners:
        return b""
    features = np.empty(len(corners), item)
    places = np.array([corner.pt for corner in corners]) * (PLACES / max(frame.width, frame.height))
    features["x"], features["y"] = np.rint(places).T
    halves = np.packbits(np.unpackbits(np.asarray(described, np.uint8), axis=1)[:, ::2], axis=1)
    features["description"] = halves[:, : item["description"].itemsize]
    return features.tobytes()


def _filled(frame: WorkingFrame, face: Face, size: float, *, inside: int, around: int) -> NDArray[np.uint8]:
    """Mask of the frame by the face's outline, `size` times as large about its middle."""
    outline = face.landmarks[list(_OUTLINE), :2]
    middle = outline.mean(axis=0)
    mask = np.full((frame.height, frame.width), around, np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(middle + (outline - middle) * size).astype(np.int32)), inside)
    return mask


def _spread(corners: Sequence[cv2.KeyPoint], frame: WorkingFrame) -> list[cv2.KeyPoint]:
    """The strongest corners, at most a few a cell."""
    taken: dict[tuple[int, int], int] = {}
    chosen = []
    for corner in sorted(corners, key=lambda each: -each.response):
        cell = int(corner.pt[0] * _CELLS / frame.width), int(corner.pt[1] * _CELLS / frame.height)
        taken[cell] = taken.get(cell, 0) + 1
        if taken[cell] <= _A_CELL:
            chosen.append(corner)
    return chosen[:MOST_FEATURES]
