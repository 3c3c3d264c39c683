"""The native decode: a picture's bytes become pixels, if the picture is whole and is shown as it is stored.

libjpeg decodes what is left of a broken file and pads the rest with grey; only its warning on stderr tells, the first
of a file. So that stream is read during the decode, and bytes of which libjpeg merely complains are corrected before.
"""

from __future__ import annotations

import os
import re

import numpy as np
from numpy.typing import NDArray

# Read by OpenCV when it is loaded; a second line behind the image gate.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(64_000_000))

import cv2

from config.catalogues.error_codes import ErrorCode
from detectors.containers import Container, png_data
from detectors.contract import ImageRefused
from detectors.image_format import ImageFormat
from detectors.image_gate import ImageHeader
from detectors.native_output import with_native_stderr

cv2.setNumThreads(0)  # slots are the parallelism; OpenCV's own threads only fight over the cores

#: libjpeg's warnings about scan data that are missing, out of step or left over (jerror.h).
_JPEG_DAMAGE = re.compile(r"Corrupt JPEG data|Premature end of JPEG|Inconsistent progression")
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0x(\w\w)")
#: Bytes that cameras leave behind the last scan: a few of any kind, and equal ones up to the end of a block of a card.
_MOST_LEFT_OVER, _MOST_PADDING = 16, 512

#: Opacity (of 255) below which a pixel counts as transparent. Opaque pictures have 255 throughout; at 250 what lies
#: behind moves a pixel by two per cent.
OPAQUE = 250


def decode_whole(image: bytes | memoryview, header: ImageHeader, flags: int) -> NDArray[np.uint8] | None:
    """Pixels as uint8 (height, width, 3) in blue-green-red order, None if the picture doesn't decode; `flags` are
    OpenCV's. Raises `ImageRefused` for a picture of which a part is missing or transparent."""
    if header.container.has_alpha:
        flags = cv2.IMREAD_UNCHANGED
    encoded = _picture_bytes(image, header.container)
    if header.format is ImageFormat.PNG and (fault := png_data.fault(encoded.data)):
        raise ImageRefused(ErrorCode.INVALID_REQUEST, fault)
    try:
        pixels, said = with_native_stderr(lambda: cv2.imdecode(encoded, flags | cv2.IMREAD_IGNORE_ORIENTATION))
        if _tells_damage(said, encoded):
            raise ImageRefused(
                ErrorCode.INVALID_REQUEST, "a part of the picture is missing or damaged", reason="image_incomplete"
            )
        return None if pixels is None else _as_seen(np.asarray(pixels))
    except (cv2.error, MemoryError) as error:
        if isinstance(error, MemoryError) or error.code == cv2.Error.StsNoMem:
            raise ImageRefused(
                ErrorCode.IMAGE_TOO_LARGE, "the image needs more memory to decode than a slot may use"
            ) from error
        return None


def _picture_bytes(image: bytes | memoryview, container: Container) -> NDArray[np.uint8]:
    view = memoryview(image).cast("B")
    if container.corrections:
        view = memoryview(bytearray(view))
        for offset, value in container.corrections:
            view[offset] = value
    pieces = [view[start:stop] for start, stop in container.pictures]
    if container.closing:
        pieces.append(memoryview(container.closing))
    return np.frombuffer(pieces[0] if len(pieces) == 1 else b"".join(pieces), np.uint8)


def _tells_damage(said: str, encoded: NDArray[np.uint8]) -> bool:
    """Whether libjpeg said that scan data are missing or out of step: more left over than padding is a hole before.
    Left over in the middle it would hide what libjpeg says of later data."""
    if left_over := _LEFT_OVER.search(said):
        number, is_last = int(left_over[1]), left_over[2] == "d9"
        is_padding = number <= _MOST_PADDING and np.ptp(encoded[-2 - number : -2]) == 0
        return not is_last or (number > _MOST_LEFT_OVER and not is_padding)
    return _JPEG_DAMAGE.search(said) is not None


def _as_seen(pixels: NDArray[np.uint8 | np.uint16]) -> NDArray[np.uint8]:
    """Three channels of 8 bits; raises `ImageRefused` if any pixel is transparent."""
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.ndim == 2:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), np.uint8)
    if pixels.shape[2] == 4:
        if pixels[..., 3].min() < OPAQUE:
            words = "the image has transparent parts, which no camera makes: viewers show other colours there"
            raise ImageRefused(ErrorCode.INVALID_REQUEST, words, reason="image_transparent")
        pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR))
    return np.asarray(pixels, np.uint8)
