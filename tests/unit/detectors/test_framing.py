"""Framing: who is in the picture, and which image requirements the picture misses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from config.error_codes import ErrorCode
from config.policy import Framing
from detectors.contract import ImageRefused
from detectors.face_mesh import Box, Face, Pose
from detectors.frame import WorkingFrame
from detectors.framing import ChosenFace, choose, requirements_missed

RULES = Framing()
FRONTAL = Pose(0, 0, 0)
FaceOf = Callable[..., Face]


def frame(grey: int = 120) -> WorkingFrame:
    pixels = np.full((1000, 1000), grey, np.uint8)
    return WorkingFrame(bgr=np.dstack([pixels] * 3), grey=pixels, full_width=1000, full_height=1000)


def test_one_face_has_no_notes(face_of):
    subject = choose((face_of(),), RULES)
    assert subject.notes == ()


@pytest.mark.parametrize("share", [0.24, 0.01])
def test_small_second_faces_are_bystanders(face_of, share):
    faces = (face_of(0.2), face_of(0.2 * share))
    assert choose(faces, RULES) == ChosenFace(faces[0], ("bystander",))


@pytest.mark.parametrize(
    ("shares", "code"),
    [
        ([], ErrorCode.NO_FACE_DETECTED),
        ([0.2, 0.2 * 0.25], ErrorCode.MULTIPLE_FACES),
        ([0.2, 0.18], ErrorCode.MULTIPLE_FACES),
    ],
)
def test_not_one_person_is_refused(face_of, shares, code):
    with pytest.raises(ImageRefused) as refused:
        choose(tuple(map(face_of, shares)), RULES)
    assert refused.value.code is code


@pytest.mark.parametrize(
    ("note", "share", "pose", "grey"),
    [
        ("", 0.2, FRONTAL, 120),
        ("", 0.1001, Pose(29, -29, 29), 51),
        ("face_too_small", 0.099, FRONTAL, 120),
        ("face_too_large", 0.41, FRONTAL, 120),
        ("rotation_over_limit", 0.2, Pose(30.1, 0, 0), 120),
        ("rotation_over_limit", 0.2, Pose(0, -30.1, 0), 120),
        ("rotation_over_limit", 0.2, Pose(0, 0, 30.1), 120),
        ("too_dark", 0.2, FRONTAL, 49),
        ("too_bright", 0.2, FRONTAL, 216),
    ],
)
def test_missed_requirements_are_notes(face_of, note, share, pose, grey):
    expected = (note,) if note else ()
    assert requirements_missed(frame(grey), face_of(share), pose, RULES) == expected


def test_faces_over_borders_are_cut(face_of):
    assert requirements_missed(frame(), face_of(box=Box(-20, 100, 480, 600)), FRONTAL, RULES) == ("face_cut_off",)


def test_faces_outside_never_crash(face_of):
    missed = requirements_missed(frame(), face_of(box=Box(-90, -90, -10, -10)), FRONTAL, RULES)
    assert missed == ("face_too_small", "face_cut_off")
