"""The image gate on honest files, on every kind of hostile file, and on mutated real ones."""

from __future__ import annotations

import io
import struct
import time
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from config.catalogues.error_codes import ErrorCode
from config.limits.capture import ImageLimits
from detectors.contract import ImageRefused
from detectors.frame import decode
from detectors.image_format import sniff
from detectors.image_gate import ImageHeader, inspect
from stream.demo.bad_inputs import png_chunk, png_of, slow_jpeg
from tests.unit.detectors.conftest import saved

LIMITS = ImageLimits()
PIXELS = np.random.default_rng(5).integers(0, 256, (96, 128, 3), np.uint8)
FORMATS = ("JPEG", "PNG", "WEBP", "BMP")


def file_of(kind: str, pixels: np.ndarray = PIXELS, **options: object) -> bytes:
    return saved(Image.fromarray(pixels), kind, **options)


FILES = {kind: file_of(kind) for kind in FORMATS} | {
    "JPEG progressive": file_of("JPEG", progressive=True),
    "WEBP lossless": file_of("WEBP", lossless=True),
    "WEBP with EXIF": file_of("WEBP", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00"),
    "BMP grey": file_of("BMP", PIXELS[:, :, 0]),
}


def refusal(image: bytes, limits: ImageLimits = LIMITS) -> ErrorCode:
    with pytest.raises(ImageRefused) as refused:
        decode(image, inspect(image, limits))
    return refused.value.code


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_an_honest_file_passes(name, wrap):
    header = inspect(wrap(FILES[name]), LIMITS)
    assert (header.container.width, header.container.height) == (128, 96)
    assert header.format == name.split(maxsplit=1)[0]
    assert not header.trailing_data
    assert header.exif.orientation == 1
    assert sniff(FILES[name][:18]) is header.format, "the first bytes are enough"


@pytest.mark.parametrize("name", FILES)
def test_kept_ranges_decode_the_same(name):
    image = FILES[name]
    for whole in (image, image + b"\x00" * 40 + b"\xff\xd9 a video follows"):
        header = inspect(whole, LIMITS)
        assert (header.trailing_data, header.container.pictures[-1][1]) == (whole != image, len(image))
        kept = b"".join(whole[start:stop] for start, stop in header.container.pictures)
        assert (np.asarray(Image.open(io.BytesIO(kept))) == np.asarray(Image.open(io.BytesIO(image)))).all()


@pytest.mark.parametrize("name", FILES)
def test_every_cut_is_refused(name):
    markers_behind = {"JPEG": 5, "PNG": 13}.get(name.split(maxsplit=1)[0], 0)
    whole = FILES[name][: len(FILES[name]) - markers_behind]
    for length in {*range(1, 40), *range(40, len(whole), max(1, len(whole) // 60)), len(whole) - 1}:
        assert refusal(whole[:length]) in (ErrorCode.INVALID_REQUEST, ErrorCode.UNSUPPORTED_FORMAT), length


OTHERS = {
    "text": b"hello, this is no picture at all" * 9,
    **{kind: file_of(kind) for kind in ("GIF", "TIFF")},
    "HEIC": b"\x00\x00\x00\x18ftypheic" + b"\x00" * 100,
    "two letters of BMP": b"BMW drives on without being a bitmap",
    "polyglot: PDF in front of a JPEG": b"%PDF-1.4\n" + FILES["JPEG"],
    "polyglot: HTML in front of a WebP": b"<!--" + FILES["WEBP"],
    "RIFF that is no WebP": b"RIFF\x24\x00\x00\x00WAVEfmt " + b"\x00" * 40,
}


@pytest.mark.parametrize("name", OTHERS)
def test_wrong_magic_is_unsupported(name):
    assert sniff(OTHERS[name]) is None
    assert refusal(OTHERS[name]) is ErrorCode.UNSUPPORTED_FORMAT


def with_two_frame_headers() -> bytes:
    whole = FILES["JPEG"]
    start = whole.index(b"\xff\xc0")
    length = int.from_bytes(whole[start + 2 : start + 4], "big") + 2
    return whole[: start + length] + whole[start:]


ANIMATED = {"save_all": True, "append_images": [Image.fromarray(255 - PIXELS)], "duration": 100}
#: 49 MP of one bit each in less than 20 KB.
ONE_BIT_ROWS = zlib.compress(bytes(1 + 7000 // 8) * 7000, 9)
REFUSED = {
    **{f"animated {kind}": (file_of(kind, **ANIMATED), ErrorCode.UNSUPPORTED_FORMAT) for kind in ("PNG", "WEBP")},
    "nothing": (b"", ErrorCode.INVALID_REQUEST),
    "one byte too many": (FILES["JPEG"].ljust(LIMITS.max_bytes + 1, b"\x00"), ErrorCode.IMAGE_TOO_LARGE),
    "a bomb of 109 KB, 5.3 GB of pixels": (png_of(42_000, 42_000, b"\x00" * 109_000), ErrorCode.IMAGE_TOO_LARGE),
    "a bomb inside the pixel limit": (png_of(7000, 7000, ONE_BIT_ROWS, depth=1, colour=0), ErrorCode.IMAGE_TOO_LARGE),
    **{
        f"{width} x {height}": (png_of(width, height, b"\x00" * 9), ErrorCode.IMAGE_TOO_LARGE)
        for width, height in ((20_000, 100), (100, 16_385), (8_000, 7_000), (2**31 - 1, 2**31 - 1))
    },
    **{
        f"{width} x {height}": (png_of(width, height, b"\x00" * 9), ErrorCode.INVALID_REQUEST)
        for width, height in ((0, 100), (63, 500), (500, 1))
    },
    "30,000 chunks": (png_of(128, 96, b"\x00", *[png_chunk(b"tEXt", b"")] * 30_000), ErrorCode.INVALID_REQUEST),
    "two frame headers": (with_two_frame_headers(), ErrorCode.INVALID_REQUEST),
    "scans without end": (slow_jpeg(side=256, scans=101), ErrorCode.INVALID_REQUEST),
}


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_headers_are_refused(name):
    image, code = REFUSED[name]
    assert refusal(image) is code


FLAT = np.full((2000, 1500, 3), 77, np.uint8)
HARMLESS = {
    "many scans": (slow_jpeg(side=256, scans=80), 256),
    "as many bytes as can be": (FILES["JPEG"].ljust(LIMITS.max_bytes, b"\x00"), 128),
    **{f"flat {kind}": (file_of(kind, FLAT), 1500) for kind in ("JPEG", "PNG", "BMP")},
    "flat PNG of 12 megapixels": (png_of(4000, 3000, zlib.compress(bytes(1 + 3 * 4000) * 3000, 9)), 4000),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_files_are_no_bombs(name):
    image, width = HARMLESS[name]
    assert inspect(image, LIMITS).container.width == width


def test_text_chunks_reach_no_decoder():
    text = png_chunk(b"tEXt", b"Software\x00gnome-screenshot")
    assert inspect(png_of(128, 96, b"\x00", text), LIMITS).exif.software == ("gnome-screenshot",)
    inflating = zlib.compress(b"\x00" * 50_000_000, 9)
    plain = inspect(FILES["PNG"], LIMITS).container.pictures
    assert plain == ((0, len(FILES["PNG"])),)
    for kind in (b"zTXt", b"iTXt", b"iCCP"):
        loaded = png_of(128, 96, b"\x00" * 300, png_chunk(kind, b"x\x00\x00" + inflating))
        started = time.process_time()
        header = inspect(loaded, LIMITS)
        assert time.process_time() - started < 0.5
        kept = b"".join(loaded[start:stop] for start, stop in header.container.pictures)
        assert kind not in kept


def test_thumbnails_have_end_markers():
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2 + len(FILES["JPEG"])) + FILES["JPEG"]
    whole = FILES["JPEG"][:2] + thumbnail + FILES["JPEG"][2:]
    header = inspect(whole, LIMITS)
    assert not header.trailing_data
    assert refusal(whole[:-200]) is ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=60, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=6)), max_size=8), cut=st.floats(0.5, 1))
def test_mutated_files_are_answered(name, edits, cut):
    mutated = bytearray(FILES[name])
    for where, what in edits:
        start = int(where**3 * len(mutated))  # mostly in the headers
        mutated[start : start + len(what)] = what
    try:
        header = inspect(bytes(mutated[: int(cut * len(mutated))]), LIMITS)
    except ImageRefused:
        return
    assert isinstance(header, ImageHeader)
    assert all(0 <= start < stop <= len(mutated) for start, stop in header.container.pictures)


BMP_MAGIC = b"BM" + b"\x00" * 12 + b"\x28\x00\x00\x00"
MAGICS = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x40\x00\x00\x00WEBP", BMP_MAGIC, b""]


@given(st.sampled_from(MAGICS), st.binary(max_size=400))
def test_noise_behind_magic_is_answered(magic, noise):
    with pytest.raises(ImageRefused):
        inspect(magic + noise, LIMITS)
