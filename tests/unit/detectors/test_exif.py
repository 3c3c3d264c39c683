"""EXIF facts against Pillow's writer, and against blocks made to hurt."""

from __future__ import annotations

import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from detectors.exif import ExifFacts, read_exif


def block(
    tags: dict[int, object], exif: dict[int, object] | None = None, gps: dict[int, object] | None = None
) -> bytes:
    made = Image.Exif()
    made.update(tags)
    made.get_ifd(0x8769).update(exif or {})
    made.get_ifd(0x8825).update(gps or {})
    return made.tobytes().removeprefix(b"Exif\x00\x00")


FULL = block(
    {0x010F: "Example", 0x0110: "Phone 9", 0x0112: 6, 0x0131: "Firmware 1.2"},
    {0x829A: IFDRational(1, 60), 0x829D: 2.2, 0x8827: 100, 0x920A: IFDRational(27, 10)},
    {2: (48.0, 8.0, 0.0), 4: (11.0, 34.0, 0.0)},
)


def test_everything_a_phone_writes():
    assert read_exif(FULL) == ExifFacts(
        present=True,
        orientation=6,
        make="Example",
        model="Phone 9",
        software=("Firmware 1.2",),
        optical=("f-stop", "ISO", "shutter speed", "focal length", "GPS"),
    )


def test_big_endian_too():
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, 8, 0)
    assert read_exif(b"MM\x00*" + struct.pack(">IH", 8, 1) + entry + b"\x00" * 4).orientation == 8


def tiff(count: int, *entries: tuple[int, int, int, int], behind: bytes = b"") -> bytes:
    """A block of one directory; an entry is tag, type, count and the four value bytes as a number."""
    return (
        b"II*\x00" + struct.pack("<IH", 8, count) + b"".join(struct.pack("<HHII", *each) for each in entries) + behind
    )


NOTHING = [None, b"", b"garbage", b"II*\x00", b"II*\x00\xff\xff\xff\xff"]
IMPOSSIBLE = [block({0x0112: orientation}) for orientation in (0, 9, 65535)]
ZEROS = block({0x0112: 1}, {0x829A: 0.0, 0x8827: 0})


HUGE = tiff(2, (0x010F, 2, 0xFFFFFFFF, 8), (0x0112, 7, 0xFFFFFFFF, 0))  # and of a wrong type


@pytest.mark.parametrize("exif", [*NOTHING, *IMPOSSIBLE, ZEROS, HUGE])
def test_impossible_values_are_absent(exif):
    facts = read_exif(exif)
    assert (facts.orientation, facts.make, facts.optical) == (1, "", ())


def test_circular_directories_are_read_once():
    assert read_exif(tiff(2, (0x8769, 4, 1, 8), (0x8825, 4, 1, 8), behind=struct.pack("<I", 8))).present


def test_shared_values_cost_nothing():
    hostile = tiff(5000, *((tag, 2, 60_000, 8) for tag in range(5000)), behind=b"A" * 8)
    started = time.process_time()
    for _ in range(10):
        read_exif(hostile)
    assert time.process_time() - started < 0.5


def test_text_is_bounded():
    text = b"\xff\xfe" + b"x" * 5000 + b"\x00"
    facts = read_exif(tiff(1, (0x0131, 2, len(text), 26), behind=b"\x00" * 4 + text))
    assert len(facts.software[0]) <= 130


@given(st.binary(max_size=300))
def test_noise_never_raises(noise):
    for order in (b"", b"II*\x00\x08\x00\x00\x00", b"MM\x00*\x00\x00\x00\x08"):
        read_exif(order + noise)


@given(st.lists(st.tuples(st.integers(0, len(FULL) - 1), st.integers(0, 255)), max_size=12))
def test_a_damaged_block_never_raises(edits):
    damaged = bytearray(FULL)
    for where, value in edits:
        damaged[where] = value
    facts = read_exif(bytes(damaged))
    assert 1 <= facts.orientation <= 8
    assert set(facts.optical) <= {"f-stop", "ISO", "shutter speed", "focal length", "GPS"}
