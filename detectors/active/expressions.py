"""Expression measures of a face: openness of either eye, and the mouth's shape, with the head's rotation undone.

A turned head foreshortens the mouth and the eyes. The mesh's third coordinate undoes that: landmarks are turned back by
the rotation of the pose fit, and measured as seen from the front.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors.face_mesh import Face
from detectors.face_mesh.pose import frontal
from detectors.signals.eye_aspect_ratio import PERSONS_LEFT_EYE, PERSONS_RIGHT_EYE, eye_aspect_ratio

#: Corners of the mouth, and the middle of the inner lips, upper and lower.
_CORNERS, _LIPS = (61, 291), (13, 14)
_EYE_CORNERS = ((33, 133), (362, 263))


@dataclass(frozen=True, slots=True)
class Expression:
    """Expression of a face, see `FrameMeasures`: ratios, rotation undone."""

    eye_right: float
    eye_left: float
    mouth_width: float
    corner_lift: float


def expression_of(face: Face) -> Expression:
    """Expression measures; raises ValueError if the eyes lie in one place. Called by `measuring.measure`."""
    points = frontal(face.landmarks, face.transform).astype(np.float32)
    right, left = (points[list(eye), :2].mean(axis=0) for eye in _EYE_CORNERS)
    apart = float(np.linalg.norm(left - right))
    if not apart > 0:
        raise ValueError("the eyes lie in one place")
    corners, lips = points[list(_CORNERS), :2], points[list(_LIPS), :2]
    return Expression(
        eye_right=eye_aspect_ratio(points, PERSONS_RIGHT_EYE),
        eye_left=eye_aspect_ratio(points, PERSONS_LEFT_EYE),
        mouth_width=float(np.linalg.norm(corners[1] - corners[0])) / apart,
        corner_lift=float(lips[:, 1].mean() - corners[:, 1].mean()) / apart,  # y down
    )
