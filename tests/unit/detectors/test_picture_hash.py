"""Copies of a picture are known again, other pictures are not, and the exact hash is exact."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from detectors.analysis import FaceAnalyser
from detectors.contract import PictureHashes
from detectors.picture_hash import SAME_PICTURE_BITS, hamming, hashes_of, perceptual, pixels_sha256
from stream.demo.attacks import Photo
from tests.bench.picture_hashes import cropped, encoded, jpeg, lit, scaled

Looker = Callable[[bytes], PictureHashes]


@pytest.fixture(scope="module")
def look(analyser: FaceAnalyser) -> Looker:
    def hashes(image: bytes) -> PictureHashes:
        seen = analyser.look(image).seen
        return hashes_of(seen.frame, seen.face)

    return hashes


COPIES: dict[str, Callable[[Photo], bytes]] = {
    "JPEG 50": lambda photo: jpeg(photo, 50),
    "WebP": lambda photo: encoded(photo, ".webp", cv2.IMWRITE_WEBP_QUALITY, 70),
    "half": lambda photo: jpeg(scaled(photo, 0.5)),
    "double": lambda photo: jpeg(scaled(photo, 2.0)),
    "darker": lambda photo: jpeg(lit(photo, 0.8, 0)),
    "brighter": lambda photo: jpeg(lit(photo, 1.2, 0)),
    "cropped all round": lambda photo: jpeg(cropped(photo, (0.05, 0.05, 0.05, 0.05))),
    "cropped left and top": lambda photo: jpeg(cropped(photo, (0.05, 0.05, 0, 0))),
}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_known_again(look, portrait, kind):
    original, copy = look(jpeg(portrait, 95)), look(COPIES[kind](portrait))
    assert hamming(original.perceptual, copy.perceptual) <= SAME_PICTURE_BITS


def test_photographs_are_told_from_their_copies(look, framed_faces):
    """Also two of the same person: the hash is of the picture, not of the face."""
    pictures = {name: (framed.seen.frame, framed.seen.face) for name, framed in framed_faces.items()}
    found = {name: perceptual(frame.grey, face.landmarks) for name, (frame, face) in pictures.items()}
    assert len(found) >= 10
    for one, first in found.items():
        for two, second in found.items():
            assert one == two or hamming(first, second) > SAME_PICTURE_BITS, (one, two)
        for kind in ("JPEG 50", "half", "cropped left and top") if one.startswith("person") else ():
            copy = look(COPIES[kind](pictures[one][0].bgr))
            assert hamming(first, copy.perceptual) <= SAME_PICTURE_BITS, (one, kind)


def test_turned_pictures_differ_little(look, portrait):
    height, width = portrait.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 5, 1)
    turned = cv2.warpAffine(portrait, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    original, mirrored = (look(jpeg(each)).perceptual for each in (portrait, np.ascontiguousarray(portrait[:, ::-1])))
    assert hamming(original, look(jpeg(np.asarray(turned, np.uint8))).perceptual) <= 10
    assert hamming(original, mirrored) > SAME_PICTURE_BITS


def test_exact_hash_is_of_pixels(look, portrait):
    """The hash includes the picture's size, and nothing else of the file."""
    file = encoded(portrait, ".png")
    assert look(file).pixels_sha256 == look(file + b"behind the end").pixels_sha256
    changed = portrait.copy()
    changed[0, 0, 0] ^= 1
    assert look(file).pixels_sha256 != look(encoded(changed, ".png")).pixels_sha256
    flat = np.zeros((4, 6, 3), np.uint8)
    assert pixels_sha256(flat) != pixels_sha256(flat.reshape(6, 4, 3))
    assert pixels_sha256(flat[:, ::2]) == pixels_sha256(np.zeros((4, 3, 3), np.uint8))


def test_coinciding_landmarks_are_refused():
    with pytest.raises(ValueError, match="one place"):
        perceptual(np.zeros((100, 100), np.uint8), np.zeros((478, 3), np.float32))
