"""The mesh port: MediaPipe's wire format, the pose fit, and both adapters on photographs."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.policy import Policy
from detectors.face_mesh import open_mesh, pose_of
from detectors.face_mesh.canonical import BASIS_LANDMARKS, BASIS_POSITIONS
from detectors.face_mesh.pose import VERTICAL_FOV_DEG, Pose, fit_transform
from detectors.face_mesh.solutions import read_landmarks
from detectors.frame import WorkingFrame, decode
from detectors.image_gate import inspect
from detectors.models import face_landmarker_model
from tests.unit.detectors.conftest import rotation

ANGLES = st.tuples(st.floats(-60, 60), st.floats(-50, 50), st.floats(-60, 60))


def frame_of(path: Path, policy: Policy) -> WorkingFrame:
    image = path.read_bytes()
    return decode(image, inspect(image, policy.image))


def furthest(a: Pose, b: Pose) -> float:
    return max(abs(a.yaw - b.yaw), abs(a.pitch - b.pitch), abs(a.roll - b.roll))


@given(ANGLES, st.floats(0.1, 20))
def test_angles_survive_scaled_rotations(angles, scale):
    transform = rotation(*angles)
    transform[:3, :3] *= scale
    assert furthest(pose_of(transform), Pose(*angles)) < 1e-6


def photographed(transform: np.ndarray, width: int, height: int) -> np.ndarray:
    """Landmarks (478, 3), pixels, of the canonical basis in this pose, 60 cm before the virtual camera."""
    focal = height / 2 / np.tan(np.radians(VERTICAL_FOV_DEG) / 2)
    metric = transform[:3, :3] @ BASIS_POSITIONS + np.array([[3.0], [-2.0], [-60.0]])
    x, y = width / 2 + focal * metric[0] / -metric[2], height / 2 - focal * metric[1] / -metric[2]
    pixels = np.stack((x, y, -(metric[2] + 60.0) * focal / 60.0))
    landmarks = np.tile(pixels.mean(axis=1), (478, 1))
    landmarks[BASIS_LANDMARKS] = pixels.T
    return landmarks.astype(np.float32)


@pytest.mark.parametrize("angles", [(0, 0, 0), (20, 0, 0), (-25, 10, 5), (0, -20, 0), (10, 15, -30)])
def test_fit_finds_a_known_pose(angles):
    found = pose_of(fit_transform(photographed(rotation(*angles), 720, 960), 720, 960))
    assert furthest(found, Pose(*angles)) < 1.0


def test_signs_are_as_documented():
    straight, yawed, pitched, rolled = (
        photographed(rotation(*angles), 720, 960) for angles in ((0, 0, 0), (20, 0, 0), (0, 20, 0), (0, 0, 20))
    )
    nose, top = 4, 10
    assert (yawed - straight)[nose, 0] > 0  # to the right
    assert (pitched - straight)[nose, 1] < 0  # up
    assert (rolled - straight)[top, 0] < 0  # to the left


@pytest.mark.parametrize("landmarks", [np.zeros((478, 3)), np.full((478, 3), np.nan)])
def test_points_without_extent_are_refused(landmarks):
    with pytest.raises(ValueError, match=r"face|converge"):
        fit_transform(landmarks.astype(np.float32), 100, 100)


def test_wire_bytes_and_attributes_agree():
    from mediapipe.framework.formats.landmark_pb2 import NormalizedLandmarkList

    message = NormalizedLandmarkList()
    for index in range(478):
        message.landmark.add(x=index / 478, y=0.0, z=-1.5)
    expected = np.array([(p.x, p.y, p.z) for p in message.landmark], np.float32)
    assert (read_landmarks(message) == expected).all()
    message.landmark[5].visibility = 0.5  # another layout: the slow way
    assert (read_landmarks(message) == expected).all()
    assert read_landmarks(NormalizedLandmarkList()).shape == (0, 3)


def test_other_bundles_are_refused(tmp_path):
    forged = tmp_path / "face_landmarker.task"
    forged.write_bytes(struct.pack("<I", 0x04034B50))
    for load in (lambda: open_mesh(forged, min_face_confidence=0.6), lambda: face_landmarker_model(b"")):
        with pytest.raises(ValueError, match="not the pinned"):
            load()


def test_pose_is_near_tasks_matrix(photographs, bundle, analyser, policy):
    tasks = open_mesh(bundle, min_face_confidence=policy.parameters.min_face_confidence)
    compared = 0
    for path in photographs:
        frame = frame_of(path, policy)
        ours, theirs = analyser.mesh.find(frame.bgr), tasks.find(frame.bgr)
        for one, other in zip(ours[:1], theirs[:1], strict=False):
            refit = fit_transform(other.landmarks, frame.width, frame.height)
            assert np.abs(refit - other.transform).max() < 1e-3, f"{path.name}: the same landmarks"
            assert furthest(pose_of(one.transform), pose_of(other.transform)) < 3.0, path.name
            compared += 1
    tasks.close()
    assert compared >= 10
