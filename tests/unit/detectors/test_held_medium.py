"""Borders of held prints and displays, on rendered scenes, on portraits composed into such scenes, and on photographs
of people, which have none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from config.catalogues.detector_catalogue import DETECTORS
from config.limits.signals import SignalParameters
from config.policy import LEARNED, Policy, load
from detectors.analysis import FaceAnalyser
from detectors.borders import find_border
from detectors.contract import Analysis, Reading, ReadingStatus
from detectors.face_mesh import Box
from detectors.signals import FaceObservation, build
from stream.demo import attacks
from stream.evaluation.analysis_cache import analyser_key
from stream.pipeline.verdict.verdict import VerdictKind, judge
from tests.unit.detectors.conftest import face_of, grey_frame, observe

WIDTH, HEIGHT = 480, 640
FACE = Box(190, 220, 290, 350)
DARK, LIGHT, SKIN = 60, 215, 150


def scene(*shapes: tuple[str, object, int]) -> np.ndarray:
    """A grey wall with some light from one side, shapes laid over it in order, a face, and noise."""
    grey = np.tile(np.linspace(120, 140, WIDTH, dtype=np.float32), (HEIGHT, 1))
    for kind, points, level in (*shapes, ("ellipse", FACE, SKIN)):
        if kind == "ellipse":
            centre = (points.left + points.right) / 2, (points.top + points.bottom) / 2
            cv2.ellipse(grey, (centre, (points.width, points.height * 1.2), 0), level, -1)
        elif kind == "line":
            cv2.line(grey, *points, level, 3)
        else:
            cv2.fillPoly(grey, [np.array(points, np.int32)], level)
    noisy = cv2.GaussianBlur(grey, (0, 0), 0.8) + np.random.default_rng(5).normal(0, 2, grey.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def quad(left: int, top: int, right: int, bottom: int, turn: int = 12) -> list[tuple[int, int]]:
    """Corners of a rectangle, turned a little."""
    return [(left, top + turn), (right - turn, top), (right, bottom - turn), (left + turn, bottom)]


#: Head and shoulders before whatever was laid down first.
PERSON = ("quad", [(215, 330), (265, 330), (275, 390), (400, 430), (430, 640), (50, 640), (80, 430), (205, 390)], DARK)

HELD = {
    "a print": [("quad", quad(130, 130, 350, 470), LIGHT)],
    "a display with a bezel": [("quad", quad(120, 120, 360, 480), 20), ("quad", quad(140, 150, 340, 450), LIGHT)],
    "turned the other way": [("quad", quad(130, 130, 350, 470, turn=-14), DARK)],
    "cut off at the left": [("quad", quad(-60, 130, 350, 470), LIGHT)],
    "cut off above": [("quad", quad(130, -60, 350, 470), LIGHT)],
    "cut off below, narrower than shoulders": [("quad", quad(150, 130, 330, 800), LIGHT)],
    "held before a person": [PERSON, ("quad", quad(130, 130, 350, 470), LIGHT)],
    "a finger on the border": [("quad", quad(130, 130, 350, 470), LIGHT), ("ellipse", Box(170, 440, 200, 500), SKIN)],
}

NOT_HELD = {
    "a wall": [],
    "a person before a wall": [PERSON],
    "a person before a door": [("quad", quad(130, 60, 350, 900, turn=0), LIGHT), PERSON],
    "a person before a window": [("quad", quad(60, 100, 420, 410, turn=4), LIGHT), PERSON],
    "a person before a poster": [("quad", quad(110, 120, 370, 500, turn=4), LIGHT), PERSON],
    "a door behind, a table before": [
        ("quad", quad(120, 60, 360, 900, turn=0), LIGHT),
        PERSON,
        ("quad", [(0, 500), (480, 500), (480, 640), (0, 640)], 30),
    ],
    "shelves": [
        *(("line", ((x, 0), (x, 640)), 20) for x in (60, 150, 330, 420)),
        *(("line", ((0, y), (480, y)), 20) for y in (60, 180, 420, 560)),
        PERSON,
    ],
    "a card held below": [PERSON, ("quad", quad(150, 400, 330, 520), LIGHT)],
    "a door wider than shoulders": [("quad", quad(30, 60, 450, 900, turn=0), LIGHT), PERSON],
    "a wide door behind, a table before": [
        ("quad", quad(30, 60, 450, 900, turn=0), LIGHT),
        PERSON,
        ("quad", [(0, 500), (480, 500), (480, 640), (0, 640)], 30),
    ],
    "a window that ends at the neck": [("quad", quad(30, 60, 450, 375, turn=0), LIGHT), PERSON],
}


def liveness(grey: np.ndarray, face: Box = FACE) -> float:
    (signal,) = build(SignalParameters(), ["held_medium"])
    return signal.read(observe(grey=grey, face=face_of(box=face))).liveness


@pytest.mark.parametrize("name", HELD)
def test_borders_before_a_person_are_found(name):
    assert liveness(scene(*HELD[name])) < 0.5


@pytest.mark.parametrize("name", NOT_HELD)
def test_lines_behind_a_person_are_no_border(name):
    assert liveness(scene(*NOT_HELD[name])) == 1.0


def test_a_frame_that_a_program_added_is_no_border():
    photo = scene(PERSON)[40:600, 40:440]
    assert liveness(cv2.copyMakeBorder(photo, 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=255)) == 1.0


@pytest.mark.parametrize(
    ("grey", "face"),
    [
        (np.full((640, 480), 128, np.uint8), FACE),
        (scene(*HELD["a print"])[:20], FACE),
        (scene(*HELD["a print"]), Box(-500, -500, -400, -400)),
        (scene(*HELD["a print"]), Box(200, 200, 203, 203)),
        (scene(*HELD["a print"]), Box(-50, -50, 600, 800)),
    ],
)
def test_odd_pictures_have_no_border(grey, face):
    assert liveness(grey, face) == 1.0


def test_corners_are_where_the_print_is():
    border = find_border(grey_frame(scene(*HELD["a print"])), FACE)
    expected = [(x / WIDTH, y / HEIGHT) for x, y in quad(130, 130, 350, 470)]
    assert np.allclose(border.corners, expected, atol=0.01)


def verdict(policy: Policy, others: float, held_medium: float | None):
    """Verdict where every other signal and a network have one liveness; None is a reading that is not there."""
    level = {**dict.fromkeys(DETECTORS, others), "pad_minifasnet_v2": others}
    if held_medium is not None:
        level["held_medium"] = held_medium
    readings = tuple(
        Reading(
            name=name,
            label=name,
            status=ReadingStatus.SCORED,
            liveness=value,
            detail="d",
            reason="held_medium" if name == "held_medium" and value < 0.5 else "",
        )
        for name, value in level.items()
    )
    return judge(Analysis(face_detected=True, readings=readings), policy)


def test_a_border_holds_the_verdict_and_is_never_alone_a_spoof():
    learned = load(LEARNED)
    assert verdict(learned, 0.95, 1.0).kind is VerdictKind.LIVE
    seen = verdict(learned, 0.95, 0.0)
    assert (seen.kind, seen.reasons[0], seen.advice[0].code) == (VerdictKind.INCONCLUSIVE, "held_medium", "live_camera")
    assert verdict(learned, 0.0, 1.0).kind is VerdictKind.SPOOF  # that there is no border makes up for nothing


def test_detections_from_before_the_signal_are_judged_without():
    assert verdict(load(LEARNED), 0.95, None).kind is VerdictKind.LIVE


def test_analyses_without_the_signal_are_not_taken_for_those_with():
    gated = Policy(gates={"held_medium": 0.5})
    assert analyser_key(gated, []) != analyser_key(Policy(), [])
    assert analyser_key(gated, []) == analyser_key(Policy(gates={"held_medium": 0.4}), [])


def test_only_a_policy_with_the_gate_has_the_signal():
    assert Policy().signals == tuple(DETECTORS)
    assert load(LEARNED).signals == (*DETECTORS, "held_medium")
    shown = [signal.reading.name for signal in verdict(Policy(), 0.95, 0.0).signals]
    assert "held_medium" not in shown
    assert verdict(Policy(), 0.95, 0.0).kind is VerdictKind.LIVE


def test_photographs_of_people_have_no_border(framed_faces):
    seen: dict[str, FaceObservation] = {name: framed.seen for name, framed in framed_faces.items()}
    assert {name: find_border(each.frame, each.face.box) for name, each in seen.items()} == dict.fromkeys(seen)


def in_the_hand(portrait: np.ndarray, seed: int) -> bytes:
    """A portrait as a print with a white border, laid turned and in perspective before a wall, and photographed."""
    rng = np.random.default_rng(seed)
    card = cv2.copyMakeBorder(cv2.resize(portrait, (360, 480)), 16, 16, 16, 16, cv2.BORDER_CONSTANT, value=(240,) * 3)
    high, wide = card.shape[:2]
    corners = np.array([[180, 160], [180 + wide, 160], [180 + wide, 160 + high], [180, 160 + high]])
    corners = np.float32(corners + rng.uniform(-22, 22, (4, 2)))
    way = cv2.getPerspectiveTransform(np.float32([[0, 0], [wide, 0], [wide, high], [0, high]]), corners)
    wall = np.tile(np.linspace(90, 130, 760)[None, :, None], (840, 1, 3))
    laid = cv2.warpPerspective(card, way, (760, 840)).astype(np.float64)
    over = cv2.warpPerspective(np.ones((high, wide)), way, (760, 840))[..., None]
    photo = cv2.GaussianBlur(laid * over + wall * (1 - over), (0, 0), 0.8) + rng.normal(0, 2, wall.shape)
    return attacks.camera_photo(np.clip(photo, 0, 255).astype(np.uint8))


def test_a_portrait_in_the_hand_is_found_by_an_analysis(portrait):
    """From the file: the mesh finds the printed face, the border is around the face; without the print neither is."""
    analyser = FaceAnalyser(load(LEARNED))
    try:
        found = [analyser.analyse(in_the_hand(portrait, seed)) for seed in range(4)]
        bare = analyser.analyse(attacks.camera_photo(portrait))
    finally:
        analyser.close()
    levels = [each.liveness for frame in (*found, bare) for each in frame.readings if each.name == "held_medium"]
    assert levels[4] == 1.0
    assert max(levels[:4]) < 0.5
