"""Two people are seen as two, whatever confidence the policy asks of the one face that is judged."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from config.catalogues.error_codes import ErrorCode
from config.limits.capture import Framing
from config.policy import Policy
from detectors.analysis import FaceAnalyser
from detectors.contract import ImageRefused
from detectors.face_mesh import Box
from detectors.framing import choose, needs_count
from detectors.signals import build
from stream.demo import attacks
from tests.unit.detectors.conftest import face_of, grey_frame, observe
from tests.unit.detectors.test_signal_tables import with_eyes

LOWEST, USUAL, HIGH, HIGHEST = 0.3, 0.6, 0.8, 0.95


@pytest.fixture(scope="module", params=[LOWEST, USUAL, HIGH, HIGHEST])
def confident(request):
    policy = Policy.model_validate({"parameters": {"min_face_confidence": request.param}})
    made = FaceAnalyser(policy)
    yield made
    made.close()


def beside(portrait, share: float, *, turned: float = 0.0):
    """The portrait, and itself again beside it, smaller and turned in the picture plane."""
    height, width = portrait.shape[:2]
    middle = (width / 2, height / 2)
    other = cv2.warpAffine(portrait, cv2.getRotationMatrix2D(middle, turned, share), (width, height))
    return attacks.camera_photo(np.hstack((portrait, other)))


def far_away(portrait):
    """Two people, 2 % of the picture each: at the usual confidence the mesh finds neither."""
    pair = np.hstack((portrait, portrait))
    height, width = pair.shape[:2]
    canvas = np.full((height * 3 // 2, width * 3 // 2, 3), 127, np.uint8)
    canvas[height // 2 :, :width] = pair
    return attacks.camera_photo(canvas)


@pytest.mark.parametrize(("share", "turned"), [(1.0, 0.0), (0.8, 0.0), (0.9, 25.0)])
def test_pair_is_two(confident, portrait, share, turned):
    assert confident.analyse(beside(portrait, share, turned=turned)).error is ErrorCode.MULTIPLE_FACES


def test_pair_far_away_is_two(confident, portrait):
    analysis = confident.analyse(far_away(portrait))
    assert (analysis.error, analysis.face_detected) == (ErrorCode.MULTIPLE_FACES, True)


def test_photographs_of_two(confident, photographs):
    pairs = [path for path in photographs if path.name.startswith("two_people")]
    assert [path.name for path in pairs if confident.analyse(path.read_bytes()).error is not TWO] == []


TWO, NOBODY = ErrorCode.MULTIPLE_FACES, ErrorCode.NO_FACE_DETECTED


def box(left: float, side: float = 100.0) -> Box:
    return Box(left, 100, left + side, 100 + side)


@pytest.mark.parametrize(
    ("mesh", "counted", "found"),
    [
        ([box(0)], [box(5)], (0, ())),
        ([box(0)], [box(5), box(300)], TWO),
        ([box(0)], [box(5), box(300, 40)], (0, ("bystander",))),
        ([box(0), box(300)], [box(5)], TWO),
        ([box(0), box(10)], [box(5)], (0, ())),  # one face that the mesh found twice
        ([box(300, 40)], [box(5), box(300, 40)], NOBODY),  # a bystander is not judged in place of the person
        ([box(300, 40), box(0)], [box(5), box(300, 40)], (1, ("bystander",))),
        ([], [box(5), box(300)], TWO),
        ([], [box(5)], NOBODY),
        ([box(0)], [], (0, ())),
        ([], [], NOBODY),
    ],
)
def test_people(mesh, counted, found):
    faces = tuple(face_of(box=each) for each in mesh)
    if isinstance(found, tuple):
        chosen = choose(faces, tuple(counted), Framing())
        assert (chosen.face, chosen.notes) == (faces[found[0]], found[1])
        return
    with pytest.raises(ImageRefused) as refused:
        choose(faces, tuple(counted), Framing())
    assert refused.value.code is found


@pytest.mark.parametrize(
    ("shares", "confidence", "counted"),
    [
        *(([0.11], 0.6, False), ([0.29], 0.3, False), ([0.2], 0.61, True), ([0.2], 0.8, True)),
        *(([0.09], 0.6, True), ([0.31], 0.6, True), ([], 0.6, True), ([0.2, 0.04], 0.6, True)),
    ],
)
def test_counted_where_the_mesh_is_unsure(shares, confidence, counted):
    """A selfie of the usual size is not counted: that would cost as much as finding the face."""
    frame = grey_frame(np.zeros((1000, 1000), np.uint8))
    assert needs_count(tuple(map(face_of, shares)), frame, confidence) is counted


EYES = next(signal for signal in build(Policy().parameters) if signal.name == "eye_aspect_ratio")


@pytest.mark.parametrize(
    ("right", "left", "lowest", "highest"),
    [
        (0.30, 0.30, 1.0, 1.0),
        (0.30, 0.26, 0.8, 0.9),
        (0.30, 0.10, 0.0, 0.4),  # one eye closed
        (0.10, 0.30, 0.0, 0.4),
        (0.50, 0.40, 0.85, 0.95),  # both wide open, and unlike each other
        (0.70, 0.35, 0.5, 0.5),
    ],
)
def test_both_eyes_count(right, left, lowest, highest):
    reading = EYES.read(observe(face=with_eyes(right, left)))
    assert lowest - 1e-6 <= reading.liveness <= highest + 1e-6
    assert (reading.reason == "eyes_closed") is (reading.liveness < 0.5)


class Haunted:
    """A mesh that sees a further face in an empty part of the picture."""

    def __init__(self, mesh, phantom: Box) -> None:
        self._mesh, self._phantom = mesh, phantom
        self.models = mesh.models

    def find(self, bgr):
        return (*self._mesh.find(bgr), face_of(box=self._phantom))


class Blind:
    models = ()

    def find(self, bgr):
        return ()


def on_a_wall(portrait):
    """The portrait on the left, and as much of a plain wall on the right."""
    wall = np.full_like(portrait, 127)
    cv2.randn(wall, (127, 127, 127), (6, 6, 6))
    return attacks.camera_photo(np.hstack((portrait, wall)))


@pytest.mark.parametrize(("blind", "error"), [(False, None), (True, TWO)])
def test_phantom_of_the_mesh_is_nobody(portrait, monkeypatch, blind, error):
    """Where the counter sees faces at all: a counter that sees none proves nothing."""
    analyser = FaceAnalyser(Policy())
    height, width = portrait.shape[:2]
    scale = min(1.0, 960 / (2 * width))
    phantom = Box(1.4 * width * scale, 0.3 * height * scale, 1.8 * width * scale, 0.7 * height * scale)
    monkeypatch.setattr(analyser, "mesh", Haunted(analyser.mesh, phantom))
    if blind:
        monkeypatch.setattr(analyser, "counter", Blind())
    assert analyser.analyse(on_a_wall(portrait)).error is error
