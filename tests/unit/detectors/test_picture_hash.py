"""Copies of a picture are known again, other pictures are not, and the exact hash is exact."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from detectors import picture_hash
from detectors.analysis import FaceAnalyser
from detectors.contract import ImageRefused, PictureHashes
from detectors.picture_hash import BITS, SAME_PICTURE_BITS, hamming, hashes_of, perceptual, pixels_sha256
from stream.demo import attacks
from stream.demo.attacks import Photo

Looker = Callable[[bytes], PictureHashes]


@pytest.fixture(scope="module")
def look(analyser: FaceAnalyser) -> Looker:
    def hashes(image: bytes) -> PictureHashes:
        seen = analyser.look(image).seen
        return hashes_of(seen.frame, seen.face)

    return hashes


def png(photo: Photo) -> bytes:
    return cv2.imencode(".png", photo)[1].tobytes()


def webp(photo: Photo) -> bytes:
    return cv2.imencode(".webp", photo, [cv2.IMWRITE_WEBP_QUALITY, 70])[1].tobytes()


def jpeg(photo: Photo, quality: int = 90) -> bytes:
    return attacks.jpeg(photo, quality=quality)


def scaled(photo: Photo, factor: float) -> bytes:
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return jpeg(np.asarray(cv2.resize(photo, None, fx=factor, fy=factor, interpolation=method), np.uint8))


def lit(photo: Photo, factor: float) -> bytes:
    return jpeg(np.clip(photo.astype(np.float32) * factor, 0, 255).astype(np.uint8))


def cropped(photo: Photo, left: float, top: float, right: float, bottom: float) -> bytes:
    height, width = photo.shape[:2]
    return jpeg(
        photo[int(height * top) : height - int(height * bottom), int(width * left) : width - int(width * right)]
    )


COPIES: dict[str, Callable[[Photo], bytes]] = {
    "JPEG 95": lambda photo: jpeg(photo, 95),
    "JPEG 50": lambda photo: jpeg(photo, 50),
    "PNG": png,
    "WebP": webp,
    "half": lambda photo: scaled(photo, 0.5),
    "double": lambda photo: scaled(photo, 2.0),
    "darker": lambda photo: lit(photo, 0.8),
    "brighter": lambda photo: lit(photo, 1.2),
    "cropped all round": lambda photo: cropped(photo, 0.05, 0.05, 0.05, 0.05),
    "cropped left and top": lambda photo: cropped(photo, 0.05, 0.05, 0, 0),
    "cropped right": lambda photo: cropped(photo, 0, 0, 0.05, 0),
}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_known_again(look, portrait, kind):
    original, copy = look(jpeg(portrait, 95)), look(COPIES[kind](portrait))
    assert hamming(original.perceptual, copy.perceptual) <= SAME_PICTURE_BITS


@pytest.mark.parametrize("kind", COPIES)
def test_copied_photographs_are_known_again(look, photographs, kind):
    whole = [path for path in photographs if path.name.startswith("person")]
    assert whole
    for path in whole:
        copy = look(COPIES[kind](attacks.decode(path.read_bytes())))
        assert hamming(look(path.read_bytes()).perceptual, copy.perceptual) <= SAME_PICTURE_BITS, path.name


def test_other_photographs_are_not(look, photographs):
    """Also not of the same person: the hash is of the picture, not of the face."""
    found: dict[str, int] = {}
    for path in photographs:
        try:
            found[path.stem] = look(path.read_bytes()).perceptual
        except ImageRefused:
            continue
    assert len(found) >= 10
    for one, first in found.items():
        for two, second in found.items():
            assert one == two or hamming(first, second) > SAME_PICTURE_BITS, (one, two)


def test_turning_the_picture_changes_little(look, portrait):
    """The square turns with the face."""
    height, width = portrait.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 5, 1)
    turned = cv2.warpAffine(portrait, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    assert hamming(look(jpeg(portrait)).perceptual, look(jpeg(np.asarray(turned, np.uint8))).perceptual) <= 10


def test_mirrored_pictures_are_others(look, portrait):
    mirrored = np.ascontiguousarray(portrait[:, ::-1])
    assert hamming(look(jpeg(portrait)).perceptual, look(jpeg(mirrored)).perceptual) > SAME_PICTURE_BITS


def test_exact_hash_is_of_pixels(look, portrait):
    file = png(portrait)
    assert look(file).pixels_sha256 == look(file + b"behind the end").pixels_sha256
    changed = portrait.copy()
    changed[0, 0, 0] ^= 1
    assert look(file).pixels_sha256 != look(png(changed)).pixels_sha256


def test_exact_hash_includes_the_size():
    flat = np.zeros((4, 6, 3), np.uint8)
    assert pixels_sha256(flat) != pixels_sha256(flat.reshape(6, 4, 3))
    assert pixels_sha256(flat[:, ::2]) == pixels_sha256(np.zeros((4, 3, 3), np.uint8))


def test_bits_are_signs_of_frequencies():
    """A picture and its negative differ in every bit, unless a frequency is not there at all."""
    noise = np.random.default_rng(3).integers(0, 256, (400, 400), np.uint8)
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[picture_hash.BASIS_LANDMARKS, :2] = picture_hash._PLACES * 2 + 100
    first, negative = perceptual(noise, landmarks), perceptual(255 - noise, landmarks)
    assert hamming(first, negative) == BITS
    assert 0 < first < 2**BITS


def test_coinciding_landmarks_are_refused():
    with pytest.raises(ValueError, match="one place"):
        perceptual(np.zeros((100, 100), np.uint8), np.zeros((478, 3), np.float32))
