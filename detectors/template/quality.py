"""Quality gate of templates: is a view of a face good enough to be compared with others?

A template of a cut-off, tiny or averted face lies far from the person's own and may lie near a stranger's, so
such a face gets none, and the reason says so. How far a template moves as its picture is scaled down (M, ten
photographs, `python tests/bench/template_quality.py`; two photographs of one person are 0.34 to 0.43 apart):

    eyes apart, pixels     48     40     32     24     16     12
    moves by (median)    0.06   0.09   0.12   0.17   0.26   0.35
    at most              0.08   0.11   0.14   0.21   0.31   0.41
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from config.limits.capture import TemplateGate
from detectors.face_mesh import Face, Pose
from detectors.frame import WorkingFrame

#: Outer and inner corner of either eye.
_RIGHT_EYE, _LEFT_EYE = (33, 133), (263, 362)


def interocular_px(face: Face) -> float:
    """Distance of the eyes' centres, pixels of the working frame."""
    right, left = (face.landmarks[list(corners), :2].mean(axis=0) for corners in (_RIGHT_EYE, _LEFT_EYE))
    return float(np.linalg.norm(right - left))


def border_ratio(face: Face, frame: WorkingFrame) -> float:
    """Least room between face box and frame edge, in widths of the face; negative where it reaches outside."""
    box = face.box
    room = min(box.left, box.top, frame.width - box.right, frame.height - box.bottom)
    return room / box.width if box.width > 0 else -1.0


def reason_against(frame: WorkingFrame, face: Face, pose: Pose, notes: Collection[str], gate: TemplateGate) -> str:
    """Reason against a template of this face, in snake_case; empty if there is none."""
    if "face_cut_off" in notes:
        return "face_cut_off"
    if border_ratio(face, frame) < gate.min_border_ratio:
        return "face_at_border"
    if interocular_px(face) < gate.min_interocular_px:
        return "face_too_few_pixels"
    if abs(pose.yaw) > gate.max_yaw_deg or abs(pose.pitch) > gate.max_pitch_deg:
        return "face_turned_away"
    if abs(pose.roll) > gate.max_roll_deg:
        return "face_tilted"
    return ""
