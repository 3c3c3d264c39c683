"""Measures of one frame for active liveness, made in a slot process after framing (`detectors.analysis`)."""

from __future__ import annotations

import numpy as np

from detectors.active.expressions import expression_of
from detectors.active.profiles import profiles_of
from detectors.active.regions import light_of
from detectors.active.scene import scene_of
from detectors.contract_measures import SHAPE_LANDMARKS, FrameMeasures
from detectors.framing import exposure_of
from detectors.signals import FaceObservation
from detectors.signals.sharpness import laplacian_variance


def measure(seen: FaceObservation) -> FrameMeasures:
    """Measures of a framed face. Called by the analysis for a measured job, which takes any exception for no measures.

    Blocks about 10 ms; may be repeated.
    """
    frame, face = seen.frame, seen.face
    side = max(frame.width, frame.height)
    shape = face.landmarks[list(SHAPE_LANDMARKS), :2].astype(np.float64) / side
    expression, exposure = expression_of(face), exposure_of(frame, face)
    grey = face.box.clipped(frame.width, frame.height).cut(frame.grey)
    return FrameMeasures(
        yaw=round(seen.pose.yaw, 3),
        pitch=round(seen.pose.pitch, 3),
        roll=round(seen.pose.roll, 3),
        eye_right=round(expression.eye_right, 4),
        eye_left=round(expression.eye_left, 4),
        mouth_width=round(expression.mouth_width, 4),
        corner_lift=round(expression.corner_lift, 4),
        shape=tuple(round(float(each), 5) for each in shape.ravel()),
        scene=scene_of(frame, face),
        profiles=profiles_of(frame, face),
        light=light_of(frame, face),
        brightness=round(exposure.brightness, 2),
        clipped=round(exposure.clipped, 4),
        sharpness=round(laplacian_variance(grey), 2),
    )
