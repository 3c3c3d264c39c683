"""Measures of one frame on a portrait, changed by hand where a measure must follow."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from config.limits.active import ActivePolicy
from detectors.active.expressions import expression_of
from detectors.active.measuring import measure
from detectors.active.rigid import misfit
from detectors.active.scene_motion import matched, motion_of, places_of
from detectors.analysis import FaceAnalyser
from detectors.contract_measures import (
    FEATURE,
    LIGHT_REGIONS,
    PLACES,
    PLACES_ON_FACE,
    PROFILE,
    PROFILE_PLACES,
    SHAPE_LANDMARKS,
)
from detectors.face_mesh.pose import frontal
from stream.demo import attacks
from tests.sequences import genuine, portrait
from tests.unit.detectors.conftest import failing, observe


@pytest.fixture(scope="module")
def seen(analyser: FaceAnalyser, selfie: bytes):
    return analyser.look(selfie).seen


def test_measures_are_made_for_a_measured_job_only(analyser, selfie):
    plain, measured = analyser.analyse(selfie), analyser.analyse(selfie, measured=True)
    assert plain.measures is None
    assert "measures" not in plain.elapsed_ms
    assert measured.measures == analyser.analyse(selfie, measured=True).measures
    assert replace(measured, measures=None, elapsed_ms={}, cpu_ms=0) == replace(plain, elapsed_ms={}, cpu_ms=0)


def test_a_broken_measure_costs_the_measures_only(analyser, selfie, monkeypatch):
    monkeypatch.setattr("detectors.active.measuring.scene_of", failing(MemoryError()))
    analysis = analyser.analyse(selfie, measured=True)
    assert (analysis.measures, analysis.error) == (None, None)
    assert analysis.readings == analyser.analyse(selfie).readings


def test_measures_are_those_of_the_face(seen):
    found = measure(seen)
    assert (found.yaw, found.pitch, found.roll) == pytest.approx(
        (seen.pose.yaw, seen.pose.pitch, seen.pose.roll), abs=0.01
    )
    assert 0.15 < found.eye_right < 0.5
    assert 0.15 < found.eye_left < 0.5
    side = max(seen.frame.width, seen.frame.height)
    nose = SHAPE_LANDMARKS.index(4)
    assert np.allclose(np.array(found.shape).reshape(-1, 2)[nose] * side, seen.face.landmarks[4, :2], atol=0.1)


def test_expressions_are_measured_as_seen_from_the_front(seen):
    """A rotation of the landmarks in space changes no measure, and closed lids and a wide mouth change theirs."""
    face, before = seen.face, expression_of(seen.face)
    angle = np.radians(25)
    turn = np.eye(4)
    turn[0, 0] = turn[2, 2] = np.cos(angle)
    turn[0, 2], turn[2, 0] = np.sin(angle), -np.sin(angle)
    flip = np.diag([1.0, -1.0, -1.0])
    turned = replace(
        face,
        landmarks=(face.landmarks @ flip @ turn[:3, :3].T @ flip).astype(np.float32),
        transform=turn @ face.transform,
    )
    assert np.allclose(*(frontal(each.landmarks, each.transform) for each in (turned, face)), atol=0.1)
    assert expression_of(turned).eye_left == pytest.approx(before.eye_left, abs=1e-3)
    shut, wide = face.landmarks.copy(), face.landmarks.copy()
    shut[[160, 158]] = shut[[144, 153]]
    wide[61, 0] -= 0.2 * abs(wide[61, 0] - wide[291, 0])
    wide[[61, 291], 1] -= 5
    assert expression_of(replace(face, landmarks=shut)).eye_right < 0.1 * before.eye_right
    assert expression_of(replace(face, landmarks=shut)).eye_left == pytest.approx(before.eye_left)
    smiling = expression_of(replace(face, landmarks=wide))
    assert smiling.mouth_width > 1.15 * before.mouth_width
    assert smiling.corner_lift > before.corner_lift + 0.02


def test_a_face_in_one_place_has_no_measures():
    with pytest.raises(ValueError, match="one place"):
        measure(observe())


def test_light_is_linear_and_by_region(seen):
    grey = np.full_like(seen.frame.bgr, 128)
    grey[..., 2] = 255
    found = measure(replace(seen, frame=replace(seen.frame, bgr=grey))).light
    assert all(region is not None for region in found)
    for region in found:
        assert (region.red, region.green, region.blue) == pytest.approx((1.0, 0.2158, 0.2158), abs=1e-3)
        assert region.clipped == 0  # red alone is no white
    white = measure(replace(seen, frame=replace(seen.frame, bgr=np.full_like(grey, 250)))).light
    assert {region.clipped for region in white} == {1.0}


def test_each_region_has_its_own_pixels(seen):
    """Paint on the nose changes the nose, paint beside the head the background, and neither the cheeks."""
    before = dict(zip(LIGHT_REGIONS, measure(seen).light, strict=True))
    painted = seen.frame.bgr.copy()
    x, y = np.rint(seen.face.landmarks[5, :2]).astype(int)
    cv2.circle(painted, (int(x), int(y)), 6, (255, 0, 0), -1)
    painted[:40, :40] = (255, 0, 0)
    after = dict(zip(LIGHT_REGIONS, measure(replace(seen, frame=replace(seen.frame, bgr=painted))).light, strict=True))
    assert [name for name in LIGHT_REGIONS if after[name] != before[name]] == ["nose", "background"]


def test_features_lie_beside_the_face(seen):
    features = np.frombuffer(measure(seen).scene, FEATURE)
    assert len(features) >= 20
    places = np.stack([features["x"], features["y"]], axis=1) / PLACES * max(seen.frame.width, seen.frame.height)
    box = seen.face.box
    inside = ((places > (box.left, box.top)) & (places < (box.right, box.bottom))).all(axis=1)
    assert inside.mean() < 0.1  # at the corners of the box


def test_profiles_run_across_and_down(seen):
    """A copy moved by parts of a pixel is found so, and paint in one square changes that square's profile alone."""
    side = max(seen.frame.width, seen.frame.height)
    profiles = np.frombuffer(measure(seen).profiles, PROFILE)
    assert len(profiles) == PROFILE_PLACES
    told = np.abs(profiles["across"].astype(int)).max(axis=1)
    assert set(told) <= {0, 127}
    assert (told[:PLACES_ON_FACE] == 127).all()
    assert np.allclose(places_of(profiles)[0] * side, seen.face.landmarks[33, :2], atol=1)
    painted = seen.frame.grey.copy()
    x, y = np.rint(places_of(profiles)[0] * side).astype(int)
    painted[y, x - 2 : x + 3] = 255
    other = np.frombuffer(measure(replace(seen, frame=replace(seen.frame, grey=painted))).profiles, PROFILE)
    assert other[0] != profiles[0]
    assert (other[8] == profiles[8]).all()


@pytest.mark.parametrize(("moved", "is_copy"), [("whole", True), ("face", False)])
def test_a_moved_picture_is_one_similarity_away(analyser, moved, is_copy):
    """A frame with new noise, moved by parts of a pixel; or its face alone, before a scene that rests."""
    seen = analyser.look(genuine(portrait(), challenges=("smile",), seed=1).frames[0].image).seen
    rng, grey = np.random.default_rng(1), seen.frame.grey.astype(np.float32)
    shifted = cv2.warpAffine(grey, np.array([[1, 0, 0.7], [0, 1, 1.4]], float), grey.shape[::-1])
    if moved == "face":
        across, down = seen.face.landmarks[1, :2]
        away = np.hypot(np.arange(grey.shape[1]) - across, np.arange(grey.shape[0])[:, None] - down)
        shifted = grey + (shifted - grey) * np.clip(2 - away / (0.6 * seen.face.box.width), 0, 1)
    noisy = np.clip(np.rint(shifted + rng.normal(0, 2, grey.shape)), 0, 255).astype(np.uint8)
    landmarks = seen.face.landmarks + np.array([0.7, 1.4, 0], np.float32)
    again = replace(seen, frame=replace(seen.frame, grey=noisy), face=replace(seen.face, landmarks=landmarks))
    assert (misfit(measure(seen), measure(again)) < ActivePolicy().copied_misfit) == is_copy


def test_features_are_found_again_in_a_moved_picture(analyser, portrait):
    """A camera moved by 12 pixels: the scene's motion is that shift, to half a pixel."""
    moved = cv2.warpAffine(
        portrait, np.array([[1, 0, 12], [0, 1, 5]], float), portrait.shape[1::-1], borderMode=cv2.BORDER_REFLECT
    )
    first, second = (analyser.analyse(attacks.camera_photo(each), measured=True).measures for each in (portrait, moved))
    source, target = matched(first.scene, second.scene)
    motion = motion_of(source, target)
    assert motion is not None
    shift = (motion(np.array([[0.5, 0.5]])) - 0.5)[0] * max(portrait.shape)
    assert shift == pytest.approx((12, 5), abs=0.7)


def test_bright_and_sharp_are_numbers(seen):
    found = measure(seen)
    blurred = seen.frame.bgr.copy()
    blurred[:] = cv2.GaussianBlur(blurred, (0, 0), 4)
    grey = cv2.cvtColor(blurred, cv2.COLOR_BGR2GRAY)
    assert measure(replace(seen, frame=replace(seen.frame, bgr=blurred, grey=grey))).sharpness < 0.2 * found.sharpness
    glaring = replace(seen.frame, grey=np.full_like(seen.frame.grey, 250))
    bright = measure(replace(seen, frame=glaring))
    assert (bright.brightness, bright.clipped) == (250.0, 1.0)
    assert found.clipped < 0.06
