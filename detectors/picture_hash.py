"""Hashes of a picture: an exact one of its pixels, and 64 bits that survive copying.

The perceptual hash is laid on the face, not on the picture's edges: a similarity transform takes the mesh's
landmarks to MediaPipe's canonical face, a square of 26 cm around it is read in grey with the outer eighth faded out,
and the signs of the 64 lowest frequencies of its cosine transform (without the mean) are the bits. So a crop
moves next to nothing, and brightness moves the mean only. Bits that differ on eleven whole faces (M, median and
most, `python tests/bench/picture_hashes.py`):

    compressed again: JPEG 50-95, PNG, WebP        0   2
    scaled by 0.5 to 2                             0   2
    brightness +-20 %                              1   5
    cropped by up to 5 % a side, six ways          0   3
    cropped, times 0.6, JPEG 60                    1   3
    different photographs of one person           21 to 35
    photographs of two people                     14 to 42

With the bound of 7 every copy is found; the usual hash of the whole picture finds 71 %. A face cut off by the picture's
edge moves more in a cropped copy: 97 % of such copies are found. The price is that faces resemble each other: two
pictures agree like 31 coin tosses, not 64, which by this estimate brings one strange pair in about 25,000 within the
bound. So a hit is a candidate: a copy also has the same face, whose templates lie at most 0.21 apart where two
photographs of one person are at least 0.34 apart (M, same run).
"""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.alignment import similarity, warp
from detectors.contract import PictureHashes
from detectors.face_mesh import Face
from detectors.face_mesh.canonical import BASIS_LANDMARKS, BASIS_POSITIONS
from detectors.frame import WorkingFrame

BITS = 64
#: Copies differ by at most this many bits. Of four bands of 16 bits one then differs by at most one bit, which
#: is what an index by bands can look up.
SAME_PICTURE_BITS = 7

#: Half the side of the square around the face, centimetres of the canonical face (which is 15 wide). Measured from
#: 9 to 22: smaller squares look alike on everybody, larger ones reach over the picture's edge.
_HALF_SIDE_CM = 13.0
_SIDE = 64
_SMALL_SIDE = 32
#: Share of the square that is faded out, half of it at either end.
_FADED = 0.25


def _places() -> NDArray[np.float64]:
    """Places of the landmarks of the pose fit lie on the square, float64 (33, 2) pixels."""
    scale = _SIDE / (2 * _HALF_SIDE_CM)
    right, down = BASIS_POSITIONS[0], -BASIS_POSITIONS[1]
    return np.stack(((right + _HALF_SIDE_CM) * scale - 0.5, (down + _HALF_SIDE_CM) * scale - 0.5), axis=1)


def _window() -> NDArray[np.float32]:
    """Flat in the middle, a cosine down to 0 at the edges (Tukey), float32 (64, 64)."""
    middle = np.arange(_SIDE) + 0.5
    inwards = np.minimum(middle, _SIDE - middle) / (_FADED * _SIDE / 2)
    line = np.where(inwards < 1, 0.5 - 0.5 * np.cos(np.pi * inwards), 1.0)
    return np.outer(line, line).astype(np.float32)


def _lowest_frequencies() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the 64 lowest frequencies after the mean, diagonal by diagonal."""
    order = sorted(((u, v) for u in range(_SMALL_SIDE) for v in range(_SMALL_SIDE)), key=lambda p: (sum(p), p[0]))
    table = np.array(order[1 : BITS + 1], np.intp)
    return table[:, 0], table[:, 1]


_PLACES, _WINDOW, _FREQUENCIES = _places(), _window(), _lowest_frequencies()
_WINDOW_SUM = float(_WINDOW.sum())


def hashes_of(frame: WorkingFrame, face: Face) -> PictureHashes:
    """Both hashes; raises ValueError if the landmarks lie in one place. About 2 ms, most of it SHA-256."""
    return PictureHashes(pixels_sha256=pixels_sha256(frame.bgr), perceptual=perceptual(frame.grey, face.landmarks))


def pixels_sha256(pixels: NDArray[np.uint8]) -> str:
    """Lower-case hex of the SHA-256 of the size and the decoded pixels, row by row."""
    digest = hashlib.sha256("x".join(map(str, pixels.shape)).encode() + b"\n")
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def perceptual(grey: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> int:
    """The 64 bits, the lowest frequency first (most significant)."""
    place = similarity(landmarks[BASIS_LANDMARKS, :2].astype(np.float64), _PLACES)
    square = warp(grey, place, _SIDE, cv2.BORDER_REPLICATE).astype(np.float32)
    mean = float((square * _WINDOW).sum()) / _WINDOW_SUM
    small = cv2.resize((square - mean) * _WINDOW, (_SMALL_SIDE, _SMALL_SIDE), interpolation=cv2.INTER_AREA)
    signs = cv2.dct(small)[_FREQUENCIES] > 0
    return int.from_bytes(np.packbits(signs).tobytes(), "big")


def hamming(first: int, second: int) -> int:
    """Bits in which two perceptual hashes differ."""
    return (first ^ second).bit_count()
