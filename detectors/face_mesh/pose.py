"""Head pose: the 4x4 facial transform from landmarks, and yaw, pitch, roll off any such transform.

The fit re-implements MediaPipe's geometry pipeline (mediapipe/modules/face_geometry/libs/geometry_pipeline.cc
and procrustes_solver.cc): landmarks are projected to the near plane of a virtual camera, a weighted
orthogonal Procrustes fit (D. Akca, "Generalized Procrustes analysis and its applications in photogrammetry",
2003, section 2.4) against the canonical face gives the scale, which puts them into metric space; twice.

Angles, in degrees, as seen in the (not mirrored) picture:
- yaw > 0: the nose points to the picture's right, the person's own left;
- pitch > 0: the face looks up;
- roll > 0: the head is turned counter-clockwise, its top towards the picture's left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.face_mesh.canonical import BASIS_LANDMARKS, BASIS_POSITIONS, BASIS_WEIGHTS, MESH_LANDMARKS

#: The virtual camera of MediaPipe's face landmarker (env_generator, face_landmarker_graph.cc).
VERTICAL_FOV_DEG = 63.0
NEAR = 1.0

#: A picture's axes (y down, z away from the camera) to those of the canonical face (y up, z towards the camera).
_FLIP = np.array([1.0, -1.0, -1.0])

_Points = NDArray[np.float64]

_TOTAL_WEIGHT = float(BASIS_WEIGHTS.sum())
_SOURCE_CENTRE = (BASIS_POSITIONS * BASIS_WEIGHTS).sum(axis=1, keepdims=True) / _TOTAL_WEIGHT
_SOURCE_CENTRED = BASIS_POSITIONS - _SOURCE_CENTRE
_SOURCE_WEIGHTED = _SOURCE_CENTRED * BASIS_WEIGHTS
_SOURCE_SPREAD = float((_SOURCE_WEIGHTED * _SOURCE_CENTRED).sum())


@dataclass(frozen=True, slots=True)
class Pose:
    """Head rotation in degrees; signs as the module says."""

    yaw: float
    pitch: float
    roll: float


def pose_of(transform: NDArray[np.float64]) -> Pose:
    """Angles of a 4x4 transform whose rotation is `Ry(yaw) Rx(-pitch) Rz(roll)`, any scale."""
    rotation = rotation_of(transform)
    return Pose(
        yaw=math.degrees(math.atan2(rotation[0, 2], rotation[2, 2])),
        pitch=math.degrees(math.asin(min(1.0, max(-1.0, float(rotation[1, 2]))))),
        roll=math.degrees(math.atan2(rotation[1, 0], rotation[1, 1])),
    )


def rotation_of(transform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation (3, 3) of a 4x4 transform of any scale."""
    return np.asarray(transform[:3, :3] / np.linalg.norm(transform[:3, 0]), np.float64)


def frontal(landmarks: NDArray[np.float32], transform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Landmarks (n, 3), pixels, x right, y down, turned back so that the head looks into the camera."""
    return np.asarray((landmarks.astype(np.float64) * _FLIP) @ rotation_of(transform) * _FLIP, np.float64)


def fit_transform(landmarks: NDArray[np.float32], width: int, height: int) -> NDArray[np.float64]:
    """float64 (4, 4) from landmarks (468 or more, 3) in pixels of a (width, height) frame.

    Raises ValueError if the points do not span a face (all in one place).
    """
    near_height = 2 * NEAR * math.tan(math.radians(VERTICAL_FOV_DEG) / 2)
    pixel = near_height / height
    screen = landmarks[BASIS_LANDMARKS].T.astype(np.float64)
    screen[0] = (screen[0] - width / 2) * pixel
    screen[1] = (height / 2 - screen[1]) * pixel
    screen[2] *= pixel
    depth_offset = float(landmarks[:MESH_LANDMARKS, 2].mean(dtype=np.float64)) * pixel

    first = _scale_of(_flip_z(screen))
    second = _scale_of(_to_metric(screen, depth_offset, first))
    return _procrustes(_to_metric(screen, depth_offset, first * second))


def _to_metric(screen: _Points, depth_offset: float, scale: float) -> _Points:
    """Unproject near-plane points with the depth that this scale gives them; right-handed afterwards."""
    depth = (screen[2] - depth_offset + NEAR) / scale
    return np.asarray(np.stack((screen[0] * depth / NEAR, screen[1] * depth / NEAR, -depth)), np.float64)


def _flip_z(points: _Points) -> _Points:
    return np.asarray(points * np.array([[1.0], [1.0], [-1.0]]), np.float64)


def _scale_of(targets: _Points) -> float:
    return float(np.linalg.norm(_procrustes(targets)[:3, 0]))


def _procrustes(targets: _Points) -> NDArray[np.float64]:
    """Similarity transform (4, 4) that takes the canonical basis to `targets` (3, 33), least squares."""
    design = targets @ _SOURCE_WEIGHTED.T
    left, _, right = np.linalg.svd(design)
    if np.linalg.det(left) * np.linalg.det(right) < 0:
        left[:, 2] *= -1
    rotation = left @ right
    scale = float((rotation * design).sum()) / _SOURCE_SPREAD
    if not scale > 1e-9:
        raise ValueError("the landmarks do not span a face")
    transform = np.eye(4)
    transform[:3, :3] = scale * rotation
    target_centre = (targets * BASIS_WEIGHTS).sum(axis=1) / _TOTAL_WEIGHT
    transform[:3, 3] = target_centre - transform[:3, :3] @ _SOURCE_CENTRE[:, 0]
    return transform
