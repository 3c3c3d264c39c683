"""Eye aspect ratio: eye height over eye width (Soukupova and Cech, "Real-Time Eye Blink Detection using
Facial Landmarks", CVWW 2016)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from config.limits.signals import SignalParameters
from detectors.contract import Reading
from detectors.signals.base import Curve, FaceObservation, Words, scored

_WORDS = Words("Both eyes are open", "The eyes are not wide open, or not alike", "An eye is closed or nearly so")

#: MediaPipe numbers of p1 to p6 per eye: outer corner, upper lid twice, inner corner, lower lid twice.
PERSONS_RIGHT_EYE = (33, 160, 158, 133, 153, 144)
PERSONS_LEFT_EYE = (263, 387, 385, 362, 380, 373)

#: Naturally open eyes lie in 0.25 to 0.35.
NATURAL, WIDE = 0.25, 0.30
#: Difference of the two eyes: 19 of 20 bona fide pictures stay below the first, one mask in 10 is above. The
#: difference alone fails nobody.
LIKE, UNLIKE = 0.08, 0.20


def eye_aspect_ratio(landmarks: NDArray[np.float32], eye: tuple[int, ...]) -> float:
    """(|p2 p6| + |p3 p5|) / (2 |p1 p4|) in the picture plane; 0 if the corners coincide."""
    p1, p2, p3, p4, p5, p6 = landmarks[list(eye), :2]
    width = float(np.linalg.norm(p1 - p4))
    height = float(np.linalg.norm(p2 - p6) + np.linalg.norm(p3 - p5))
    return height / (2 * width) if width > 0 else 0.0


class EyeAspectRatio:
    """Open eyes are more live: the eye that is less open counts, and the less the more the two differ."""

    name = "eye_aspect_ratio"

    def __init__(self, parameters: SignalParameters) -> None:
        closed = parameters.min_ear
        natural = max(NATURAL, 1.25 * closed)
        # Test photographs 0.19 to 0.33, smiling ones low.
        self._openness = Curve((0.0, 0.0), (closed, 0.5), (natural, 0.8), (natural + WIDE - NATURAL, 1.0))
        self._likeness = Curve((LIKE, 1.0), (UNLIKE, 0.5))

    def read(self, seen: FaceObservation) -> Reading:
        right = eye_aspect_ratio(seen.face.landmarks, PERSONS_RIGHT_EYE)
        left = eye_aspect_ratio(seen.face.landmarks, PERSONS_LEFT_EYE)
        lesser, difference = min(right, left), abs(right - left)
        liveness = min(self._openness(lesser), self._likeness(difference))
        detail = _WORDS.about(liveness, f"eye aspect ratio: right {right:.2f}, left {left:.2f}")
        return scored(self, liveness, detail, weak="eyes_closed")
