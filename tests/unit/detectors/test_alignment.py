"""Chips lie where they should, and are near enough to dlib's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import alignment
from detectors.template import built_in

SIDE = 150
#: Largest distance between the templates of our chip and dlib's, at the same landmarks. Two photographs of one
#: person are 0.34 apart at least.
NEAR = 0.06


def turned(points: np.ndarray, degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    angle = np.radians(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ turn.T + np.array(shift)


POINTS = np.array(built_in.chip_geometry().points)


@given(degrees=st.floats(-180, 180), scale=st.floats(0.2, 3.5))
def test_a_similarity_is_found_again(degrees, scale):
    target = turned(POINTS, degrees, scale, (12, -5))
    found = alignment.similarity(POINTS, target)
    assert np.allclose(POINTS @ found[:, :2].T + found[:, 2], target)


def test_a_similarity_never_mirrors():
    assert np.linalg.det(alignment.similarity(POINTS, POINTS * [-1, 1])[:, :2]) > 0


@pytest.mark.parametrize("scale", [0.4, 1.0, 2.0, 5.0, 12.0])
def test_dots_stay_at_every_scale(scale):
    """`scale` is frame pixels a chip pixel; halving must not move the picture."""
    size = int(SIDE * scale) + 200
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    centre = np.array([60.0, 85.0])
    spot = (centre * scale) + 50
    dot = np.exp(-((columns - spot[0]) ** 2 + (rows - spot[1]) ** 2) / (2 * (6 * scale) ** 2)) * 255
    frame = np.dstack([dot.astype(np.uint8)] * 3)
    place = np.array([[1 / scale, 0, -50 / scale], [0, 1 / scale, -50 / scale]])
    cut = alignment.cut(frame, place, SIDE)[:, :, 0].astype(np.float64)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    found = np.array([(cut * columns).sum(), (cut * rows).sum()]) / cut.sum()
    assert np.abs(found - centre).max() < 0.1


def test_halving_avoids_aliasing():
    checkers = (np.indices((1200, 1200)).sum(axis=0) % 2 * 255).astype(np.uint8)
    place = np.array([[0.125, 0, 0], [0, 0.125, 0]])
    cut = alignment.cut(np.dstack([checkers] * 3), place, SIDE)
    assert np.ptp(cut[4:-4, 4:-4].astype(int)) <= 2


def test_chips_are_rgb_on_black():
    frame = np.zeros((100, 100, 3), np.uint8)
    frame[:, :, 2] = 200  # red, in the frame's order
    place = np.array([[1.0, 0, 60], [0, 1.0, 60]])
    cut = alignment.cut(frame, place, SIDE)
    assert tuple(cut[100, 100]) == (200, 0, 0)
    assert not cut[:50, :50].any()
    with pytest.raises(ValueError, match="outside"):
        alignment.cut(frame, np.array([[1.0, 0, 600], [0, 1.0, 60]]), SIDE)


def test_templates_match_dlibs_own_chip(model, dlib, framed_faces):
    geometry = model.spec.chip
    for name, framed in framed_faces.items():
        frame, landmarks = framed.seen.frame, framed.seen.face.landmarks
        points = [dlib.point(round(x), round(y)) for x, y in alignment.anchors(landmarks, geometry).tolist()]
        shape = dlib.full_object_detection(dlib.rectangle(0, 0, 9, 9), points)
        theirs = dlib.get_face_chip(np.ascontiguousarray(frame.bgr[:, :, ::-1]), shape, SIDE, built_in.PADDING)
        ours = alignment.cut(frame.bgr, alignment.placement(landmarks, geometry), SIDE)
        assert np.linalg.norm(model.embed(ours) - model.embed(theirs)) < NEAR, name
