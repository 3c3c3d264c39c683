"""Facial symmetry: mirrored landmark pairs about the midline of the face, with the head turned back first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from config.limits.signals import SignalParameters
from detectors.contract import Reading
from detectors.face_mesh.pose import frontal
from detectors.signals.base import Curve, FaceObservation, Words, scored

_WORDS = Words(
    "Both halves of the face are alike", "The halves of the face differ a little", "The halves of the face differ"
)

#: (person's right, person's left) landmarks: outer and inner eye corners, brows, nostrils, mouth corners,
#: cheek bones, jawline.
PAIRS = np.array(
    [(33, 133, 70, 105, 129, 61, 234, 132, 172, 136), (263, 362, 300, 334, 358, 291, 454, 361, 397, 365)]
).T
#: Forehead, nose bridge, nose tip, lips, chin.
MIDLINE = np.array([10, 168, 6, 4, 0, 17, 152])


def symmetry_index(landmarks: NDArray[np.float32], transform: NDArray[np.float64]) -> float:
    """Mean mismatch of mirrored pairs over their distance apart; 0 = perfectly symmetric.

    Landmarks (n, 3) are in pixels; the rotation in `transform` (4, 4) takes the head's turn out, so that
    a turned face is not taken for a crooked one.
    """
    upright = frontal(landmarks, transform)
    midline = upright[MIDLINE, 0].mean()
    right, left = upright[PAIRS[:, 0]], upright[PAIRS[:, 1]]
    apart = np.abs(left[:, 0] - right[:, 0])
    sideways = np.abs((left[:, 0] - midline) + (right[:, 0] - midline))
    upwards = np.abs(left[:, 1] - right[:, 1])
    return float((np.hypot(sideways, upwards) / np.maximum(apart, 1e-6)).mean())


class FacialSymmetry:
    """A symmetric face is more live."""

    name = "facial_symmetry"

    def __init__(self, parameters: SignalParameters) -> None:
        limit = parameters.max_asymmetry
        # Test photographs 0.013 to 0.069.
        self._score = Curve((0.0, 1.0), (0.4 * limit, 0.8), (0.7 * limit, 0.5), (limit, 0.0))

    def read(self, seen: FaceObservation) -> Reading:
        index = symmetry_index(seen.face.landmarks, seen.face.transform)
        liveness = self._score(index)
        return scored(self, liveness, _WORDS.about(liveness, f"asymmetry index {index:.3f}"), weak="asymmetric_face")
