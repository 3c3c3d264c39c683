"""Which views of a face get a template, and what is said of the others."""

from __future__ import annotations

import numpy as np
import pytest

from config.limits.capture import TemplateGate
from detectors.face_mesh import Box, Face, Pose
from detectors.template.quality import border_ratio, interocular_px, reason_against
from tests.unit.detectors.conftest import UPRIGHT, grey_frame

GATE = TemplateGate()


FRAME = grey_frame(np.full((800, 600), 128, np.uint8))


def face(eyes_px: float = 90.0, box: Box | None = None) -> Face:
    landmarks = np.zeros((478, 3), np.float32)
    for corners, middle in (((33, 133), 300 - eyes_px / 2), ((263, 362), 300 + eyes_px / 2)):
        for corner, side in zip(corners, (-10, 10), strict=True):
            landmarks[corner, :2] = (middle + side, 400)
    return Face(landmarks=landmarks, box=box or Box(200, 250, 400, 550), transform=np.eye(4))


def test_what_is_measured():
    assert interocular_px(face(90)) == pytest.approx(90)
    assert border_ratio(face(), FRAME) == pytest.approx(1.0)
    assert border_ratio(face(box=Box(-20, 250, 180, 550)), FRAME) == pytest.approx(-0.1)
    assert border_ratio(face(box=Box(5, 5, 5, 5)), FRAME) == -1.0


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        ({"notes": ("face_cut_off",)}, "face_cut_off"),
        ({"face": face(box=Box(2, 250, 202, 550))}, "face_at_border"),
        ({"face": face(box=Box(200, 598, 400, 799))}, "face_at_border"),
        ({"face": face(eyes_px=31)}, "face_too_few_pixels"),
        ({"pose": Pose(yaw=41, pitch=0, roll=0)}, "face_turned_away"),
        ({"pose": Pose(yaw=-41, pitch=0, roll=0)}, "face_turned_away"),
        ({"pose": Pose(yaw=0, pitch=31, roll=0)}, "face_turned_away"),
        ({"pose": Pose(yaw=0, pitch=-31, roll=0)}, "face_turned_away"),
        ({"pose": Pose(yaw=0, pitch=0, roll=46)}, "face_tilted"),
        ({}, ""),
        ({"notes": ("face_too_small", "bystander", "too_dark")}, ""),
        ({"gate": TemplateGate(min_interocular_px=100)}, "face_too_few_pixels"),
        ({"face": face(eyes_px=33)}, ""),
        ({"pose": Pose(yaw=39, pitch=29, roll=44)}, ""),
        ({"face": face(box=Box(5, 250, 205, 550))}, ""),
    ],
)
def test_the_gate_says_why(seen, reason):
    given = {"frame": FRAME, "face": face(), "pose": UPRIGHT, "notes": (), "gate": GATE, **seen}
    assert reason_against(**given) == reason  # type: ignore[arg-type]


def test_only_whole_photographs_pass(framed_faces):
    for name, framed in framed_faces.items():
        seen = framed.seen
        reason = reason_against(seen.frame, seen.face, seen.pose, framed.notes, GATE)
        assert reason == ("face_cut_off" if name.startswith("partial") else ""), name
