"""Landmarks of measures as points."""

from __future__ import annotations

import numpy as np

from detectors.active.homography import Points
from detectors.contract_measures import SHAPE_LANDMARKS, FrameMeasures

_PLACE = {landmark: place for place, landmark in enumerate(SHAPE_LANDMARKS)}
_RIGHT_EYE, _LEFT_EYE = ([_PLACE[corner] for corner in eye] for eye in ((33, 133), (263, 362)))


def shape_of(measures: FrameMeasures) -> Points:
    """Landmarks float64 (n, 2) in units of the frame's longer side, x right, y down."""
    return np.array(measures.shape, np.float64).reshape(-1, 2)


def eyes_apart(points: Points) -> float:
    """Distance of the eyes' centres."""
    return max(float(np.linalg.norm(points[_RIGHT_EYE].mean(axis=0) - points[_LEFT_EYE].mean(axis=0))), 1e-6)


def width_of(measures: FrameMeasures) -> float:
    """Width of the face from ear to ear, in frame's sides."""
    right, left = shape_of(measures)[[_PLACE[234], _PLACE[454]]]
    return max(float(np.linalg.norm(left - right)), 1e-6)
