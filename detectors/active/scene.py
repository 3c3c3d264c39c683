"""Scene features: corners beside the face that can be found again in another frame of the same room.

ORB (E. Rublee et al., "ORB: an efficient alternative to SIFT or SURF", ICCV 2011), spread over the frame, with every
second one of its 256 comparisons. At most 128 spots of 31 pixels are described, by order of grey levels only and with
half the comparisons, all outside the face: from whole, dense descriptions crude patches can be drawn again (E. d'Angelo
et al., "Beyond bits: reconstructing images from local binary descriptors", ICPR 2012).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.contract_measures import FEATURE, MOST_FEATURES, PLACES
from detectors.face_mesh import Face
from detectors.frame import WorkingFrame

#: Features are looked for in so many cells each way, so that one busy corner doesn't take all of them.
_CELLS = 8
_CANDIDATES, _A_CELL = 800, 4
_OUTLINE = (10, 297, 284, 356, 454, 361, 365, 152, 136, 132, 234, 127, 54, 67)
#: Size of the outline about its middle: hair, ears and neck, which move with the head, are inside.
_GROWN = 1.35
#: FAST threshold, grey levels; lower than OpenCV's 20, as walls are dull.
_FAST = 10
_LEVELS = 3


def scene_of(frame: WorkingFrame, face: Face) -> bytes:
    """Features outside the face, packed (`FEATURE`), the strongest first. Called by `measuring.measure`."""
    detector = cv2.ORB.create(nfeatures=_CANDIDATES, nlevels=_LEVELS, fastThreshold=_FAST)
    return _packed(frame, detector, _spread(detector.detect(frame.grey, _outside(frame, face)), frame))


def _packed(frame: WorkingFrame, detector: cv2.ORB, chosen: Sequence[cv2.KeyPoint]) -> bytes:
    """Corners as features, with every second comparison."""
    corners, described = detector.compute(frame.grey, chosen)  # without those too near to the frame's edge
    if not corners:
        return b""
    features = np.empty(len(corners), FEATURE)
    places = np.array([corner.pt for corner in corners]) * (PLACES / max(frame.width, frame.height))
    features["x"], features["y"] = np.rint(places).T
    features["description"] = np.packbits(np.unpackbits(np.asarray(described, np.uint8), axis=1)[:, ::2], axis=1)
    return features.tobytes()


def _outside(frame: WorkingFrame, face: Face) -> NDArray[np.uint8]:
    """Mask of the frame without the face's outline, grown about its middle."""
    outline = face.landmarks[list(_OUTLINE), :2]
    middle = outline.mean(axis=0)
    mask = np.full((frame.height, frame.width), 255, np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(middle + (outline - middle) * _GROWN).astype(np.int32)), 0)
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
