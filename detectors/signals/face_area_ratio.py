"""Face area ratio: the face's bounding box as a share of the picture."""

from __future__ import annotations

from config.limits.signals import SignalParameters
from detectors.contract import Reading
from detectors.signals.base import Curve, FaceObservation, Words, scored

_WORDS = Words("The face has a good size", "The face has not the best size", "The face is too small, or too large")

#: Share of the picture -> score, above the penalised sizes: best at 20 %, good from 10 % to 40 %, and
#: fixed 0.50 above 80 %.
_GOOD_SIZES = ((0.10, 0.85), (0.20, 1.0), (0.40, 0.85), (0.80, 0.5))


class FaceAreaRatio:
    """A face of 10 to 40 % of the picture is most live."""

    name = "face_area_ratio"

    def __init__(self, parameters: SignalParameters) -> None:
        smallest = parameters.min_face_area_ratio
        good = [point for point in _GOOD_SIZES if point[0] > smallest]
        self._score = Curve((0.0, 0.0), (smallest, 0.5), *good)

    def read(self, seen: FaceObservation) -> Reading:
        frame = seen.frame
        share = seen.face.box.clipped(frame.width, frame.height).area / (frame.width * frame.height)
        liveness = self._score(share)
        detail = _WORDS.about(liveness, f"the face fills {share:.1%} of the picture")
        return scored(self, liveness, detail, weak="face_too_small")
