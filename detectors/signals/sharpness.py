"""Sharpness: variance of the Laplacian (Pech-Pacheco et al., "Diatom autofocusing in brightfield
microscopy", ICPR 2000). Prints and recaptured screens are often softer than a bona fide selfie."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from config.limits.signals import SignalParameters
from detectors.contract import Reading
from detectors.signals.base import Curve, FaceObservation, Words, scored

_WORDS = Words("The picture is sharp", "The picture is a little soft", "The picture is blurred")


def laplacian_variance(grey: NDArray[np.uint8]) -> float:
    """Variance of the 4-neighbour Laplacian of a uint8 (height, width) picture, grey levels squared."""
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    return float(deviation[0, 0]) ** 2


class Sharpness:
    """Higher variance is more live; polarity fails on screens, whose pixel grid is sharp."""

    name = "sharpness"

    def __init__(self, parameters: SignalParameters) -> None:
        floor = parameters.min_blur_variance
        # Test photographs 80 to 1250; simulated prints 20 to 34, recaptures 1 to 3. A screen's pixel grid is
        # sharp (780 and more): that is for texture and spectrum to tell.
        self._score = Curve((0.0, 0.0), (floor, 0.5), (3 * floor, 0.8), (10 * floor, 1.0))

    def read(self, seen: FaceObservation) -> Reading:
        variance = laplacian_variance(seen.frame.grey)
        liveness = self._score(variance)
        return scored(self, liveness, _WORDS.about(liveness, f"Laplacian variance {variance:.0f}"), weak="blurry")
