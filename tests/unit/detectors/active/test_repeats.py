"""Frames that follow each other as those of one person and one camera do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from config.limits.active import ActivePolicy
from detectors.active.assessed import AssessedFrame
from detectors.active.repeats import continuity_reasons, motion_within
from detectors.contract_measures import PROFILE, PROFILE_PLACES
from tests.unit.detectors.active.heads import HEAD, WALL, capture, light, profiled, seen

SETTINGS = ActivePolicy()
SHIFT = 0.004
SHAPE = np.array(capture()[0].measures.shape).reshape(-1, 2)


def copied(
    original: AssessedFrame, *, noise: float = 0.1, mesh: float = 0.001, apart: float = 0.0, brighter: float = 1.0
) -> AssessedFrame:
    """The same picture encoded anew and moved as a whole, but for the face, which is moved by `apart` more. `noise` is
    that of the picture, `mesh` that of the landmarks; all but the picture's in frame's sides."""
    rng, measured = np.random.default_rng(9), original.measures
    shape = np.array(measured.shape) + SHIFT + apart + rng.normal(0, mesh, len(measured.shape))
    changed = replace(
        measured,
        shape=tuple(shape.tolist()),
        profiles=profiled(seen(HEAD) + 0.004 + SHIFT + apart, seen(WALL) + SHIFT, noise=noise, seed=7),
        light=light(np.array((0.3, 0.2, 0.15)) * brighter),
    )
    return replace(original, at_ms=10_000, measures=changed, pixels="f" * 32)


@pytest.mark.parametrize(
    ("options", "again"),
    [
        ({}, True),
        ({"noise": 0.0, "mesh": 0.0}, True),
        ({"noise": 0.3}, True),
        ({"mesh": 0.01}, False),  # a face that moves within itself
        ({"apart": 0.0002}, True),  # an eighth of a sample
        ({"apart": 0.0012}, False),  # less than a sample: a head that moves against its scene
        ({"apart": 0.0012, "noise": 0.0}, False),
        ({"brighter": 1.1}, True),  # brightened
    ],
)
def test_a_copy_moves_as_a_whole(options, again):
    frames = capture("smile", "blink")
    found = continuity_reasons([*frames, copied(frames[1], **options)], SETTINGS)
    assert found == ({"repeated_frames"} if again else set())


def test_nothing_is_said_of_frames_without_profiles():
    frames = capture("smile", "blink")
    for none in (b"", bytes(PROFILE.itemsize * PROFILE_PLACES)):
        again = copied(frames[1])
        smooth = [replace(each, measures=replace(each.measures, profiles=none)) for each in (*frames, again)]
        assert continuity_reasons(smooth, SETTINGS) == set()


def test_equal_pixels_are_a_repeat():
    frames = capture("smile", "blink")
    again = replace(frames[4], at_ms=10_000, pixels=frames[1].pixels)
    assert continuity_reasons([*frames, again], SETTINGS) == {"repeated_frames"}


def test_one_picture_all_along_is_frozen():
    first = capture()[0]
    frames = [replace(copied(first, mesh=0.0008, apart=0.001 * n), at_ms=n) for n in range(8)]
    assert continuity_reasons(frames, SETTINGS) == {"frozen_frames"}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"at_ms": 0}, "frames_not_in_time_order"),
        ({"at_ms": 600}, "frames_not_in_time_order"),
        ({"at_ms": None}, ""),
        ({"face_distance": 1.01}, "different_face_between_frames"),
        ({"face_distance": float("nan")}, "different_face_between_frames"),
        ({"face_distance": 1.0}, ""),
    ],
)
def test_time_and_faces_go_on(told, reason):
    frames = capture("smile", "blink")
    frames[3] = replace(frames[3], **told)
    assert continuity_reasons(frames, SETTINGS) == ({reason} if reason else set())


def test_shift_rotation_and_scale_are_no_motion_within():
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    assert motion_within(SHAPE, 1.2 * SHAPE @ turn + 0.1) < 1e-9
    assert motion_within(SHAPE, SHAPE * (0.9, 1)) > 0.02
    assert motion_within(np.zeros((41, 2)), np.zeros((41, 2))) == 0
