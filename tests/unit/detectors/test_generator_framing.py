"""Framing of picture generators: told by the places of eyes and mouth in a square, and by nothing near that."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from detectors.analysis import FaceAnalyser
from detectors.injection.checks import with_face
from detectors.injection.generator_framing import generator_framing
from stream.demo import attacks

CORNERS = {33: (0.34, 0.477), 133: (0.418, 0.477), 362: (0.582, 0.477), 263: (0.66, 0.477)}
MOUTH = {61: (0.43, 0.727), 291: (0.57, 0.727)}


def landmarks(side: int, move: tuple[float, float] = (0, 0), scale: float = 1.0, turn: float = 0.0) -> np.ndarray:
    """Face of the generators' places, moved by shares of the side, scaled and turned about the middle."""
    found = np.zeros((478, 3), np.float32)
    rotation = cv2.getRotationMatrix2D((0.5, 0.5), turn, scale)
    for number, place in (CORNERS | MOUTH).items():
        found[number, :2] = (rotation @ (*place, 1.0) + move) * side
    return found


PLACES = {
    "exact": ({}, True),
    "a little off": ({"move": (0.012, -0.012)}, True),
    "beside": ({"move": (0.03, 0)}, False),
    "above": ({"move": (0, -0.03)}, False),
    "nearer": ({"scale": 1.2}, False),
    "farther": ({"scale": 0.8}, False),
    "leaning": ({"turn": 12}, False),
}


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("side", [224, 960])
def test_places_in_a_square(name: str, side: int) -> None:
    changes, told = PLACES[name]
    found = [each.code for each in generator_framing(landmarks(side, **changes), side, side)]
    assert found == ["generator_framing"] * told


@pytest.mark.parametrize("height", [800, 1200])
def test_other_shapes_say_nothing(height: int) -> None:
    stretched = landmarks(1) * (960, height, 1)
    assert not list(generator_framing(stretched.astype(np.float32), 960, height))


def test_a_broken_check_is_told() -> None:
    assert [each.code for each in with_face((), None, None)] == ["injection_unchecked"]  # type: ignore[arg-type]


def test_portrait_framed_like_a_generators(analyser: FaceAnalyser, portrait: attacks.Photo) -> None:
    """By the analysis: the demo's portrait as a photograph, and turned, scaled and moved as the generators' training
    pictures are."""

    def codes(photo: attacks.Photo) -> set[str]:
        return {each.code for each in analyser.analyse(attacks.without_metadata(photo)).indications}

    face = analyser.look(attacks.without_metadata(portrait)).seen
    eyes = [face.face.landmarks[list(pair), :2].mean(axis=0) for pair in ((33, 133), (362, 263), (61, 291))]
    wanted = np.float32([[0.379, 0.477], [0.621, 0.477], [0.5, 0.727]]) * 512
    place, _ = cv2.estimateAffinePartial2D(np.float32(eyes), wanted)
    aligned = cv2.warpAffine(face.frame.bgr, place, (512, 512), borderMode=cv2.BORDER_REFLECT)
    assert "generator_framing" not in codes(portrait)
    assert "generator_framing" in codes(aligned)
    assert Image.open(io.BytesIO(attacks.without_metadata(aligned))).size == (512, 512)
