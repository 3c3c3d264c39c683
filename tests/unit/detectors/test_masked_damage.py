"""Damage behind an oddity: libjpeg tells the first of its complaints, behind which no piece of a picture may hide."""

from __future__ import annotations

import io
import re

import cv2
import numpy as np
import pytest
from PIL import Image

from detectors.containers.jpeg import parse_jpeg
from tests.unit.detectors.decoded import answer

END = b"\xff\xd9"
#: More than libjpeg has in hand when it stops, and throws away unsaid.
LEFT = b"left over by"
RESTART = re.compile(rb"\xff[\xd0-\xd7]")
MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
ADOBE = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"


@pytest.fixture(scope="module")
def encoded(portrait):
    pixels = Image.fromarray(np.repeat(np.repeat(portrait[:, :, ::-1], 2, 0), 2, 1))

    def save(mode: str = "RGB", **options) -> bytes:
        file = io.BytesIO()
        pixels.convert(mode).save(file, "JPEG", **{"quality": 85, **options})
        return file.getvalue()

    return save


def set_bytes(image: bytes, at: int, values: bytes) -> bytes:
    return image[:at] + values + image[at + len(values) :]


def another_version(image: bytes) -> bytes:
    return set_bytes(image, image.index(b"JFIF\x00") + 5, b"\x03")


def another_transform(image: bytes) -> bytes:
    jfif = 4 + int.from_bytes(image[4:6], "big")
    return image[:2] + ADOBE + b"\x07" + image[jfif:]


def another_transform_of_four(image: bytes) -> bytes:
    return set_bytes(image, image.index(b"Adobe") + 11, b"\x07")


def scan_of_nothing(image: bytes) -> bytes:
    scan = image.index(b"\xff\xda") + 4
    return set_bytes(image, scan + 1 + 2 * image[scan], bytes(3))


def as_stored(image: bytes) -> bytes:
    return image


def both(image: bytes) -> bytes:
    return scan_of_nothing(another_version(image))


ODD = [
    *((odd, "RGB", {}) for odd in (as_stored, another_version, another_transform, scan_of_nothing, both)),
    *((odd, "RGB", {"progressive": True}) for odd in (another_version, another_transform)),
    (another_transform_of_four, "CMYK", {}),
    (scan_of_nothing, "L", {}),
]


@pytest.mark.parametrize(("odd", "mode", "options"), ODD)
def test_pieces_of_odd_files(encoded, odd, mode, options):
    whole = odd(encoded(mode, **options))
    middle = len(whole) // 2
    assert answer(whole) == "whole"
    assert answer(whole[:middle] + whole[middle + 600 :]) == "image_incomplete"
    assert answer(whole[:middle] + END) == "image_incomplete"


@pytest.mark.parametrize(("odd", "mode", "options"), ODD)
def test_odd_files_look_as_to_others(encoded, odd, mode, options):
    """Corrected bytes change no pixel."""
    whole = odd(encoded(mode, **options))
    shown = cv2.imdecode(np.frombuffer(whole, np.uint8), cv2.IMREAD_COLOR)
    corrected = bytearray(whole)
    for at, value in parse_jpeg(memoryview(whole)).corrections:
        corrected[at] = value
    assert np.array_equal(cv2.imdecode(np.frombuffer(corrected, np.uint8), cv2.IMREAD_COLOR), shown)
    assert (corrected != whole) is (odd is not as_stored)


def ends_of_scans(image: bytes) -> list[int]:
    """Offsets of markers that end a scan's data."""
    found, position, in_scan = [], 2, False
    while marker := MARKER.search(image, position):
        if in_scan:
            found.append(marker.start())
        if image[marker.start() + 1] == 0xD9:
            break
        in_scan = image[marker.start() + 1] == 0xDA
        position = marker.start() + 2 + int.from_bytes(image[marker.start() + 2 : marker.start() + 4], "big")
    return found


def test_bytes_left_over_before_the_end(encoded):
    """A few bytes behind a scan that is not the last hide damage after them; behind the last they are a camera's."""
    whole = encoded(progressive=True)
    *others, last = ends_of_scans(whole)
    assert answer(whole[:last] + LEFT + whole[last:]) == "whole"
    for end in others:
        assert answer(whole[:end] + LEFT + whole[end:]) == "image_incomplete"


RESTARTS = [{"restart_marker_rows": 1}, {"restart_marker_blocks": 3}]


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("restarts", RESTARTS, ids=str)
def test_restart_markers_lost(encoded, restarts, progressive):
    """Markers that are gone (one, eight with their data, a third of all), out of turn, or behind bytes left over."""
    whole = encoded(progressive=progressive, **restarts)
    found = list(RESTART.finditer(whole))
    third = slice(found[len(found) // 3].start(), found[2 * len(found) // 3].start())
    for number in range(5, len(found) - 9, len(found) // 12):
        one, later = found[number], found[number + 8]
        assert answer(whole[: one.start()] + whole[one.end() :]) == "image_incomplete"
        assert answer(whole[: one.start()] + whole[later.start() :]) == "image_incomplete"
        assert answer(set_bytes(whole, one.start() + 1, b"\xd0" if one[0] != b"\xff\xd0" else b"\xd5")) != "whole"
        assert answer(whole[: one.start()] + LEFT + whole[one.start() :]) == "image_incomplete"
    assert answer(whole[: third.start] + RESTART.sub(b"", whole[third]) + whole[third.stop :]) == "image_incomplete"


@pytest.mark.parametrize("filling", [bytes(1), b"\xff", b"\xff\x00"], ids=["zeros", "fill bytes", "ones"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}, *RESTARTS], ids=str)
def test_filled_pieces(encoded, options, filling):
    """Part of the scan data replaced by what a disk or a transfer leaves there."""
    whole = encoded(**options)
    for share in np.linspace(0.2, 0.95, 25):
        at = int(share * len(whole))
        size = min(512, len(whole) - 20 - at)
        filled = whole[:at] + (filling * 512)[:size] + whole[at + size :]
        if bare_bits(whole, at, size) and filling == bytes(1):
            continue
        assert answer(filled) != "whole", share


def bare_bits(image: bytes, at: int, size: int) -> bool:
    """Whether a piece touches the scan of the means' last bits."""
    position = 2
    for end in ends_of_scans(image):
        scan = image.rindex(b"\xff\xda", position, end) + 4
        first, _, bits = image[scan + 1 + 2 * image[scan] :][:3]
        if first == 0 and bits >> 4 and at < end and at + size > scan:
            return True
        position = scan
    return False


def test_ones_in_honest_refinements():
    """The same correction in each block: as many ones in a row as libjpeg writes."""
    rows, columns = np.indices((800, 1200))
    for period in (2, 4, 8, 16):
        stripes = ((columns // (period // 2) + 0 * rows) % 2 * 140 + 50).astype(np.uint8)
        for quality in range(30, 100, 6):
            file = io.BytesIO()
            Image.fromarray(stripes).save(file, "JPEG", quality=quality, progressive=True)
            assert answer(file.getvalue()) == "whole", (period, quality)
