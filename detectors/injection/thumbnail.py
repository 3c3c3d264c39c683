"""Thumbnail in EXIF against the picture: a small picture that a camera writes beside its own, and that remains when
another picture, or another crop, takes the place of the first.

Both are compared without slow changes of brightness, by the highest correlation over a few shifts and scales, so that
compression, tone curves, black bars, turned and mirrored pictures are no difference. The thumbnail is a stranger's: its
size is bounded before the decode, and so is the work.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from config.limits.capture import ImageLimits
from detectors.contract import ImageRefused, Indication
from detectors.decoding import decode_whole
from detectors.image_format import ImageFormat
from detectors.image_gate import inspect

Grey = NDArray[np.uint8]

#: EXIF's own segment has 64 KB. Cameras write 160 x 120 pixels, some phones 512 x 384.
LIMITS = ImageLimits(max_bytes=64 * 1024, max_pixels=512 * 1024, max_side=1024, min_side=32, max_pixels_per_byte=400)
#: Correlation below which the two show different things. Of 70 photographs and portraits: 0.81 at least with 770 of the
#: picture's own (compressed to 30, with bars, turned, mirrored, brighter, darker, other colours, cut by 4 %); with 485
#: of another picture, or of half or 70 % of the picture, half are below 0.37 and nineteen of twenty below 0.57.
SAME = 0.65
#: Sides of the compared pictures, and the deviation of the blur that is taken off, pixels.
_SIDE, _BLUR = 32, 3.0
_SCALES = (1.0, 0.94, 1.06)
#: Part of each side that the thumbnail may be shifted.
_SHIFT = 0.12
#: Aspect ratios that are taken as alike.
_ALIKE = 0.03
#: Grey level above which a row or column is no bar, and the part of its pixels that must be.
_BAR_LEVEL, _BAR_PART = 32, 0.02
#: Deviation of grey levels below which a thumbnail shows nothing to compare.
_FLAT = 1.0


def thumbnail(encoded: bytes, bgr: NDArray[np.uint8]) -> Iterator[Indication]:
    """Indication of a thumbnail that shows something other than the picture (height, width, 3), either way up."""
    small = _decoded(encoded)
    if small is None:
        return
    found = _likeness(_grey(bgr), small)
    if found is not None and found < SAME:
        detail = "The metadata hold a small copy of another picture, or of another part of this one."
        yield Indication(code="thumbnail_differs", detail=f"{detail} Correlation {found:.2f}, alike from {SAME:g}.")


def _decoded(encoded: bytes) -> Grey | None:
    """Grey thumbnail; None for none, and for bytes that are no small JPEG."""
    if not encoded:
        return None
    try:
        header = inspect(encoded, LIMITS)
        pixels = decode_whole(encoded, header, cv2.IMREAD_COLOR) if header.format is ImageFormat.JPEG else None
    except ImageRefused:
        return None
    return None if pixels is None else _grey(pixels)


def _likeness(picture: Grey, small: Grey) -> float | None:
    """First correlation of the two that says they are alike, any way up, with bars and without; else the highest. None
    where there is nothing to compare."""
    highest: float | None = None
    for correlation in _all_correlations(picture, small):
        if correlation >= SAME:
            return correlation
        highest = correlation if highest is None else max(highest, correlation)
    return highest


def _all_correlations(picture: Grey, small: Grey) -> Iterator[float]:
    for shown in _with_and_without_bars(small):
        for turned in _turned(shown):
            for of_picture, of_small in _same_shape(picture, turned):
                yield from _correlations(of_picture, of_small)


def _with_and_without_bars(small: Grey) -> Iterator[Grey]:
    yield small
    bright = small > _BAR_LEVEL
    rows, columns = (np.flatnonzero(bright.mean(axis) > _BAR_PART) for axis in (1, 0))
    if rows.size and columns.size:
        inner = small[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        if inner.shape != small.shape and min(inner.shape) >= _SIDE:
            yield inner


def _turned(small: Grey) -> Iterator[Grey]:
    for mirrored in (small, small[:, ::-1]):
        for quarter in range(4):
            yield np.ascontiguousarray(np.rot90(mirrored, quarter))


def _same_shape(picture: Grey, small: Grey) -> Iterator[tuple[Grey, Grey]]:
    """Both stretched over each other, and where shapes differ, the middle of the wider one."""
    yield picture, small
    ratio = _aspect(picture) / _aspect(small)
    if abs(ratio - 1.0) > _ALIKE:
        yield _middle(picture, _aspect(small)), small
        yield picture, _middle(small, _aspect(picture))


def _correlations(picture: Grey, small: Grey) -> Iterator[float]:
    """Correlations of the middle of the small one with the picture, the highest over all shifts, at each scale."""
    aspect = _aspect(picture)
    width, height = (_SIDE, max(8, round(_SIDE / aspect))) if aspect >= 1 else (max(8, round(_SIDE * aspect)), _SIDE)
    whole = _sharp(picture, width, height)
    for scale in _SCALES:
        wide, high = round(width * scale), round(height * scale)
        left, top = (
            round(most * _SHIFT) + max(0, (size - most + 1) // 2) for most, size in ((width, wide), (height, high))
        )
        part = _sharp(small, wide, high)[top : high - top, left : wide - left]
        if part.std() >= _FLAT and whole.std() >= _FLAT:
            yield float(cv2.matchTemplate(whole, part, cv2.TM_CCOEFF_NORMED).max())


def _sharp(grey: Grey, width: int, height: int) -> NDArray[np.float32]:
    reduced = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(reduced - cv2.GaussianBlur(reduced, (0, 0), _BLUR), np.float32)


def _grey(bgr: NDArray[np.uint8]) -> Grey:
    """Grey levels, reduced to four times the compared size first."""
    scale = 4 * _SIDE / max(bgr.shape[:2])
    if scale < 1:
        bgr = np.asarray(cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), np.uint8)


def _aspect(grey: Grey) -> float:
    return float(grey.shape[1] / grey.shape[0])


def _middle(grey: Grey, aspect: float) -> Grey:
    height, width = grey.shape
    high, wide = min(height, max(2, round(width / aspect))), min(width, max(2, round(height * aspect)))
    top, left = (height - high) // 2, (width - wide) // 2
    return grey[top : top + high, left : left + wide]
