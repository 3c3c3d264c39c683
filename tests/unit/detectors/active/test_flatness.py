"""Flatness on projected heads and prints, and the two parts that flatness is found with."""

from __future__ import annotations

import numpy as np
import pytest

from config.limits.active import ActivePolicy
from detectors.active.assessed import AssessedFrame
from detectors.active.flatness import flatness_of, foreshortening
from detectors.active.homography import apart, homography, moved
from detectors.active.scene_motion import FEWEST_MATCHES, matched, motion_of
from tests.unit.detectors.active.heads import HEAD, PAPER, PRINT, WALL, bent, measures, packed, seen

SETTINGS = ActivePolicy()
#: Centimetres: twice that of a head.
RADIUS = 15.0


def flatness(face: np.ndarray, scene: np.ndarray | None, *angles: float):
    frames = [AssessedFrame(measures=measures(face, scene))]
    frames += [AssessedFrame(challenge="head_left", measures=measures(face, scene, turned=angle)) for angle in angles]
    return flatness_of(frames, SETTINGS)


@pytest.mark.parametrize("angle", [18, 25, 32])
@pytest.mark.parametrize(
    ("face", "scene", "reasons"),
    [
        (HEAD, None, set()),
        (PRINT, PAPER, {"flat_surface", "background_moves_with_face"}),
        (bent(PRINT, RADIUS), bent(PAPER, RADIUS), {"background_moves_with_face"}),
        (PRINT, None, {"flat_surface"}),
    ],
    ids=["head", "print", "bent print", "print cut out"],
)
def test_a_picture_is_told_from_a_head(face, scene, reasons, angle):
    """A head is never flat; a bent print is flat to one of the two tests at least."""
    found = flatness(face, scene, angle / 2, angle).reasons
    assert found >= reasons
    assert not found or reasons


@pytest.mark.parametrize("angles", [(), (0.5,)])
def test_nothing_is_said_without_a_turn(angles):
    found = flatness(PRINT, PAPER, *angles)
    assert (found.depth, found.behind, found.reasons) == (None, None, frozenset())


def test_a_bare_wall_says_nothing_of_the_scene():
    bare = [AssessedFrame(challenge=name, measures=measures(PRINT, turned=angle, scene=PAPER[:5]))
            for name, angle in (("neutral", 0), ("head_left", 20))]  # fmt: skip
    found = flatness_of(bare, SETTINGS)
    assert (found.behind, found.reasons) == (None, {"flat_surface"})


def test_landmarks_in_one_place_are_passed_over():
    still = [measures(shape=(0.5,) * len(measures().shape)) for _ in range(2)]
    frames = [AssessedFrame(measures=still[0]), AssessedFrame(challenge="head_left", measures=still[1])]
    assert flatness_of(frames, SETTINGS).depth is None


def test_a_homography_takes_a_plane_to_its_other_view():
    front, turned = seen(PRINT), seen(PRINT, 25)
    plane = homography(front, turned)
    assert apart(moved(plane, front), turned) < 1e-9
    shortened = foreshortening(lambda points: moved(plane, points), front)
    assert shortened == pytest.approx(1 / np.cos(np.radians(25)) - 1, abs=0.05)
    for points in (front[:3], np.full((6, 2), 0.5)):
        with pytest.raises(ValueError, match=r"four points|one place"):
            homography(points, points)


def test_features_are_matched_one_to_one():
    first, second = seen(WALL), seen(WALL) + 0.01
    source, target = matched(packed(first), packed(second))
    assert len(source) == len(first)
    assert np.allclose(target - source, 0.01, atol=1e-4)
    alike = packed(first[:1]) * 2  # two things with one description: neither is matched
    assert len(matched(alike, alike)[0]) == 0
    assert [len(each) for each in matched(b"", packed(first))] == [0, 0]
    assert len(matched(packed(first, seed=1), packed(first, seed=2))[0]) == 0


def test_the_scenes_motion_survives_wrong_matches():
    source = np.random.default_rng(5).uniform(0.1, 0.9, (30, 2))
    target = source * 1.02 + 0.03
    target[:8] = target[7::-1]
    motion = motion_of(source, target)
    assert motion is not None
    assert np.allclose(motion(source), source * 1.02 + 0.03, atol=1e-6)
    assert motion_of(source[: FEWEST_MATCHES - 1], target[: FEWEST_MATCHES - 1]) is None
    assert motion_of(source[8:16], np.random.default_rng(6).uniform(0, 1, (8, 2))) is None
