"""The working frame: a picture decoded once, at the one size on which every later step measures.

Thresholds are calibrated on this path: JPEG is decoded at the smallest of the DCT scales 1, 1/2, 1/4, 1/8
whose long side is still at least `WORKING_SIDE`, then resampled down to it. Smaller pictures keep
their size. Another path (a full decode, another filter) moves sharpness and frequency measures by tens of
per cent: recalibrate when touching this file (`tests/bench/signal_ranges.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from config.catalogues.error_codes import ErrorCode
from detectors.contract import ImageRefused
from detectors.decoding import decode_whole
from detectors.image_format import ImageFormat
from detectors.image_gate import ImageHeader

#: Longest side of the working frame, pixels.
WORKING_SIDE = 960

#: Up to this factor bilinear resampling, beyond it area averaging. Measured on the test photographs: at 1.5
#: (1440 to 960, a common phone size) OpenCV's area weights alternate from pixel to pixel and raise the ring
#: kurtosis of real faces from 3.2-4.2 to 4.6-8.0, where bilinear leaves it; beyond 1.6 bilinear begins to
#: alias skin (LBP entropy falls). Bilinear is also four times cheaper: 1.3 against 5.2 ms.
LINEAR_FACTOR = 1.6

_REDUCED = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingFrame:
    """Working frame of a picture, upright.

    `bgr` is uint8 (height, width, 3) in blue-green-red order, long side at most `WORKING_SIDE`;
    16-bit samples are cut to their upper byte. `grey` is its uint8 (height, width) luma.
    """

    bgr: NDArray[np.uint8]
    grey: NDArray[np.uint8]

    @property
    def width(self) -> int:
        return int(self.bgr.shape[1])

    @property
    def height(self) -> int:
        return int(self.bgr.shape[0])


def decode(image: bytes | memoryview, header: ImageHeader) -> WorkingFrame:
    """The working frame of a picture the gate let through; raises `ImageRefused` if the picture doesn't decode, or
    isn't whole and opaque."""
    divisor, flag = _scale(header)
    pixels = decode_whole(image, header, flag)
    expected = (-(-header.container.height // divisor), -(-header.container.width // divisor))
    if pixels is None or pixels.shape[:2] != expected:
        words = "the image does not decode to the size in its header: the file is damaged"
        raise ImageRefused(ErrorCode.INVALID_REQUEST, words, reason="image_damaged")
    bgr = upright(_shrink(pixels), header.exif.orientation)
    return WorkingFrame(bgr=bgr, grey=_as_uint8(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)))


def upright(bgr: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation (1 to 8): the picture as the photographer held the camera."""
    if orientation in (5, 6, 7, 8):
        bgr = _as_uint8(cv2.transpose(bgr))
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return bgr if flip is None else _as_uint8(cv2.flip(bgr, flip))


def _scale(header: ImageHeader) -> tuple[int, int]:
    """Divisor and OpenCV flag of the cheapest decode that still covers the working size."""
    if header.format is ImageFormat.JPEG:
        for divisor, flag in _REDUCED:
            if max(header.container.width, header.container.height) // divisor >= WORKING_SIDE:
                return divisor, flag
    return 1, cv2.IMREAD_COLOR


def _shrink(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = bgr.shape[:2]
    long_side = max(height, width)
    if long_side <= WORKING_SIDE:
        return bgr
    method = cv2.INTER_LINEAR if long_side <= LINEAR_FACTOR * WORKING_SIDE else cv2.INTER_AREA
    size = max(1, round(width * WORKING_SIDE / long_side)), max(1, round(height * WORKING_SIDE / long_side))
    return _as_uint8(cv2.resize(bgr, size, interpolation=method))


def _as_uint8(pixels: object) -> NDArray[np.uint8]:
    """OpenCV's stubs promise any number type; colour decoding only ever gives uint8."""
    return np.asarray(pixels, dtype=np.uint8)
