"""Framing: who is in the picture, and which image requirements the picture misses."""

from __future__ import annotations

import numpy as np
import pytest

from config.catalogues.error_codes import ErrorCode
from config.limits.capture import Framing
from detectors.contract import ImageRefused
from detectors.face_mesh import Box, Pose
from detectors.frame import WorkingFrame
from detectors.framing import ChosenFace, choose, requirements_missed
from tests.unit.detectors.conftest import UPRIGHT, face_of, grey_frame

RULES = Framing()


def frame(grey: int = 120) -> WorkingFrame:
    return grey_frame(np.full((1000, 1000), grey, np.uint8))


NOBODY, TWO = ErrorCode.NO_FACE_DETECTED, ErrorCode.MULTIPLE_FACES


@pytest.mark.parametrize(
    ("shares", "found"),
    [
        *(([], NOBODY), ([0.16, 0.04], TWO), ([0.2, 0.18], TWO)),
        *(([0.2], ()), ([0.2, 0.2 * 0.24], ("bystander",)), ([0.2, 0.002], ("bystander",))),
    ],
)
def test_one_person_beside_small_bystanders(shares, found):
    faces = tuple(map(face_of, shares))
    if isinstance(found, tuple):
        assert choose(faces, (), RULES) == ChosenFace(faces[0], found)
        return
    with pytest.raises(ImageRefused) as refused:
        choose(faces, (), RULES)
    assert refused.value.code is found


@pytest.mark.parametrize(
    ("note", "share", "pose", "grey"),
    [
        ("", 0.2, UPRIGHT, 120),
        ("", 0.1001, Pose(29, -29, 29), 51),
        ("face_too_small", 0.099, UPRIGHT, 120),
        ("face_too_large", 0.41, UPRIGHT, 120),
        ("rotation_over_limit", 0.2, Pose(30.1, 0, 0), 120),
        ("rotation_over_limit", 0.2, Pose(0, -30.1, 0), 120),
        ("rotation_over_limit", 0.2, Pose(0, 0, 30.1), 120),
        ("too_dark", 0.2, UPRIGHT, 49),
        ("too_bright", 0.2, UPRIGHT, 216),
    ],
)
def test_missed_requirements_are_notes(note, share, pose, grey):
    assert requirements_missed(frame(grey), face_of(share), pose, RULES) == ((note,) if note else ())


@pytest.mark.parametrize(("share", "missed"), [(0.05, ()), (0.07, ("too_bright",))])
def test_a_glaring_face_is_too_bright(share, missed):
    """White rows across the middle of a face of common brightness; outside the face they say nothing."""
    grey = np.full((1000, 1000), 120, np.uint8)
    height = round(1000 * np.sqrt(0.2))
    grey[600 : 600 + round(share * 0.75 * height)] = 247
    assert requirements_missed(grey_frame(grey), face_of(0.2), UPRIGHT, RULES) == missed
    grey = np.full((1000, 1000), 120, np.uint8)
    grey[:250] = 255
    assert requirements_missed(grey_frame(grey), face_of(0.2), UPRIGHT, RULES) == ()


@pytest.mark.parametrize(("shadow", "missed"), [(46, ()), (45, ("uneven_light",)), (0, ("uneven_light",))])
@pytest.mark.parametrize("side", [slice(None, 500), slice(500, None)])
def test_a_face_half_in_shadow(shadow, missed, side):
    grey = np.full((1000, 1000), 120, np.uint8)
    grey[:, side] = shadow
    assert requirements_missed(grey_frame(grey), face_of(0.2), UPRIGHT, RULES) == missed


@pytest.mark.parametrize(
    ("box", "missed"),
    [((-20, 100, 480, 600), ("face_cut_off",)), ((-90, -90, -10, -10), ("face_too_small", "face_cut_off"))],
)
def test_faces_over_borders_are_cut(box, missed):
    assert requirements_missed(frame(), face_of(box=Box(*box)), UPRIGHT, RULES) == missed
