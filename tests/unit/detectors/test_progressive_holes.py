"""Holes of zeros in progressive JPEGs: refused in every scan of coefficients, and never seen in a whole picture."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from config.limits.capture import ImageLimits
from detectors.containers.jpeg import _note_tables
from detectors.contract import ImageRefused
from detectors.image_gate import inspect
from tests.unit.detectors.decoded import answer

MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)


def saved(pixels: np.ndarray, quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, progressive=True)
    return file.getvalue()


def scans(image: bytes) -> list[tuple[int, int, int]]:
    """First coefficient, start and stop of each scan's data."""
    found, position, open_scan = [], 2, None
    while marker := MARKER.search(image, position):
        start = marker.start()
        if open_scan is not None:
            found.append((*open_scan, start))
        if image[start + 1] == 0xD9:
            break
        position = start + 2 + int.from_bytes(image[start + 2 : start + 4], "big")
        is_scan = image[start + 1] == 0xDA
        open_scan = (image[start + 5 + 2 * image[start + 4]], position) if is_scan else None
    return found


@pytest.mark.parametrize("quality", [60, 92])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_hole_in_any_scan_of_coefficients(portrait, quality, place):
    whole = saved(np.repeat(np.repeat(portrait, 2, 0), 2, 1), quality)
    tried = 0
    for first, start, stop in scans(whole):
        at = start + int((stop - start) * place)
        if first and stop - at > 300:
            tried += 1
            holed = whole[:at] + bytes(300) + whole[at + 300 :]
            assert answer(holed) == "image_incomplete", (first, start, stop)
    assert tried > 2


def test_rest_of_a_scan_lost(portrait):
    """Padding stands behind the last scan only, and there not without end."""
    whole = saved(portrait, 80)
    *others, last = [scan for scan in scans(whole) if scan[0] and scan[2] - scan[1] > 1500]
    assert len(others) > 1
    for lost, (_, _, stop) in [*((300, scan) for scan in others), (700, last)]:
        with pytest.raises(ImageRefused, match="a hole"):
            inspect(whole[: stop - lost] + bytes(lost) + whole[stop:], ImageLimits())
    padded = whole[: last[2]] + bytes(300) + whole[last[2] :]
    assert answer(padded) == "whole"


HEIGHT, WIDTH = 700, 900
ROWS, COLUMNS = np.indices((HEIGHT, WIDTH))
SYNTHETIC = {
    "black": ROWS * 0,
    "white": ROWS * 0 + 255,
    "gradient": COLUMNS * 255 // WIDTH,
    "gradient down": ROWS * 255 // HEIGHT,
    "stripes": COLUMNS // 4 % 2 * 255,
    "checks": (ROWS + COLUMNS) % 2 * 255,
}


@pytest.mark.parametrize("quality", [10, 75, 100])
@pytest.mark.parametrize("name", SYNTHETIC)
def test_flat_pictures_have_no_holes(name, quality):
    pixels = np.repeat(SYNTHETIC[name].astype(np.uint8)[..., None], 3, 2)
    assert answer(saved(pixels, quality)) == "whole"


@pytest.mark.parametrize(
    ("codes", "flat"),
    [
        (b"\x00\x01\x02", True),  # of a coder that writes the end of each block: zeros are a wall of one colour
        (b"\x00\x01\x10", False),  # that writes the end of several blocks at once
        (b"\x00\x01\xf0", True),  # sixteen zeros, no end
        (b"\x01\x00\x02", False),
        (b"", False),
    ],
)
def test_what_zeros_mean_in_a_table(codes, flat):
    tables = {0x10}
    _note_tables(memoryview(bytes([0x10, len(codes)]) + bytes(15) + codes + b"\x00"), tables)
    assert (0x10 in tables) is flat
