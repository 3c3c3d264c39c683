"""Held medium: straight borders around the face, as a print or a display has that is held before the camera."""

from __future__ import annotations

from config.limits.signals import SignalParameters
from detectors.borders import find_border
from detectors.contract import Reading
from detectors.signals.base import Curve, FaceObservation, scored


class HeldMedium:
    """A face without a border around it is more live. The border tells nothing where the picture shows the face alone,
    so that the reading is for a gate and adds no liveness."""

    name = "held_medium"

    def __init__(self, parameters: SignalParameters) -> None:
        """No parameter of the published table concerns this signal."""
        # Photographs of people have no evidence at all. Composed scenes: held prints and displays 0.6 to 1; doors,
        # windows, posters and tables around a person none as a rule, 1 of 640 above 0.7 (docs/DETECTION.md).
        self._score = Curve((0.6, 1.0), (0.7, 0.5), (0.85, 0.0))

    def read(self, seen: FaceObservation) -> Reading:
        border = find_border(seen.frame, seen.face.box)
        if border is None:
            return scored(self, 1.0, "No border of a print or display is around the face.", weak="")
        detail = (
            f"A straight border is around the face, as of a print or display (evidence {border.evidence:.2f} of 1)."
        )
        return scored(self, self._score(border.evidence), detail, weak="held_medium")
