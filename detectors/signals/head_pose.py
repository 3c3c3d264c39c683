"""Head pose: rotation of the face towards the camera, from the 4x4 facial transformation matrix."""

from __future__ import annotations

from config.limits.signals import SignalParameters
from detectors.contract import Reading
from detectors.signals.base import Curve, FaceObservation, Words, scored

_WORDS = Words("The head faces the camera", "The head is turned or tilted", "The head is turned or tilted far")

#: The image requirements ask for less than 30 degrees in any axis; roll has no parameter of its own.
MAX_ROLL_DEG = 30.0


class HeadPose:
    """A frontal head is more live; the worst of yaw, pitch and roll counts."""

    name = "head_pose"

    def __init__(self, parameters: SignalParameters) -> None:
        self._yaw = rotation_curve(parameters.max_yaw_deg)
        self._pitch = rotation_curve(parameters.max_pitch_deg)
        self._roll = rotation_curve(MAX_ROLL_DEG)

    def read(self, seen: FaceObservation) -> Reading:
        pose = seen.pose
        liveness = min(self._yaw(abs(pose.yaw)), self._pitch(abs(pose.pitch)), self._roll(abs(pose.roll)))
        measure = f"yaw {pose.yaw:+.0f}, pitch {pose.pitch:+.0f}, roll {pose.roll:+.0f} degrees"
        detail = _WORDS.about(liveness, measure)
        return scored(self, liveness, detail, weak="head_turned")


def rotation_curve(limit_deg: float) -> Curve:
    """Full score up to the limit, where decay begins; half of the score a third beyond, none two thirds beyond."""
    return Curve((limit_deg, 1.0), (limit_deg * 4 / 3, 0.5), (limit_deg * 5 / 3, 0.0))
