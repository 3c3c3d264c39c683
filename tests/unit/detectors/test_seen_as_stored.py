"""Pictures that viewers show otherwise than stored are refused; an opaque alpha channel, and ordinary colours, pass."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from config.catalogues.error_codes import ErrorCode
from detectors.contract import ImageRefused
from stream.demo.bad_inputs import png_chunk, png_of
from tests.unit.detectors.conftest import saved
from tests.unit.detectors.decoded import framed

SIDE = 96
PIXELS = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
PICTURE = Image.fromarray(PIXELS)
COLOURS = Image.fromarray(PIXELS // 32 * 32).quantize(16)
SRGB = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
SWAPPED = struct.pack(">8I", 31270, 32900, 15000, 6000, 30000, 60000, 64000, 33000)


def with_alpha(mode: str, opacity: int, share: float = 1.0) -> Image.Image:
    picture, alpha = PICTURE.convert(mode), np.full((SIDE, SIDE), 255, np.uint8)
    alpha[: max(1, int(share * SIDE)), :4] = opacity
    picture.putalpha(Image.fromarray(alpha))
    return picture


def in_16_bits(opacity: int) -> bytes:
    rows = np.full((SIDE, SIDE, 4), 30_000, ">u2")
    rows[..., 3] = 65_535
    rows[5, 5, 3] = opacity * 257
    return png_of(SIDE, SIDE, packed(rows), depth=16, colour=6)


def packed(rows: np.ndarray) -> bytes:
    return zlib.compress(b"".join(b"\x00" + row.tobytes() for row in rows))


def coloured(*extra: bytes) -> bytes:
    return png_of(SIDE, SIDE, packed(PIXELS), *extra)


def bmp(opacity: int, masks: tuple[int, int, int, int]) -> bytes:
    """A 32-bit BMP with a header of version 4 and these masks of red, green, blue and alpha."""
    size = SIDE * SIDE * 4
    header = struct.pack("<IiiHHIIiiII4I", 108, SIDE, SIDE, 1, 32, 3, size, 0, 0, 0, 0, *masks).ljust(108, b"\x00")
    pixels = np.dstack((PIXELS, np.full((SIDE, SIDE), opacity, np.uint8))).tobytes()
    return b"BM" + struct.pack("<IHHI", 122 + size, 0, 0, 122) + header + pixels


BGRA, BGRX = (0xFF0000, 0xFF00, 0xFF, 0xFF000000), (0xFF0000, 0xFF00, 0xFF, 0)
#: name -> file whose pixels have this opacity, 0 to 255 (at least one of them)
FILES: dict[str, Callable[[int], bytes]] = {
    "RGBA PNG": lambda opacity: saved(with_alpha("RGB", opacity), "PNG"),
    "RGBA PNG, a few pixels": lambda opacity: saved(with_alpha("RGB", opacity, 0.01), "PNG"),
    "grey and alpha PNG": lambda opacity: saved(with_alpha("L", opacity), "PNG"),
    "RGBA PNG of 16 bits": in_16_bits,
    "palette PNG": lambda opacity: saved(COLOURS, "PNG", transparency=bytes([opacity] * 16)),
    "WebP": lambda opacity: saved(with_alpha("RGB", opacity), "WEBP"),
    "WebP lossless": lambda opacity: saved(with_alpha("RGB", opacity), "WEBP", lossless=True, exact=True),
    "BMP": lambda opacity: bmp(opacity, BGRA),
}


def assert_not_as_stored(image: bytes) -> None:
    with pytest.raises(ImageRefused) as refused:
        framed(image)
    assert (refused.value.code, refused.value.reason) == (ErrorCode.INVALID_REQUEST, "image_transparent")


@pytest.mark.parametrize("opacity", [0, 128, 240])
@pytest.mark.parametrize("name", FILES)
def test_transparent_pixels_are_refused(name, opacity):
    assert_not_as_stored(FILES[name](opacity))


@pytest.mark.parametrize("name", FILES)
def test_an_opaque_alpha_channel_passes(name):
    assert framed(FILES[name](255)).bgr.shape == (SIDE, SIDE, 3)


def test_the_fourth_byte_of_a_bmp_is_no_alpha_unless_it_says_so():
    assert np.array_equal(framed(bmp(0, BGRX)).bgr, PIXELS[::-1])


@pytest.mark.parametrize(
    "image",
    [
        saved(PICTURE.convert("L"), "PNG", transparency=7),
        saved(PICTURE, "PNG", transparency=tuple(int(level) for level in PIXELS[0, 0])),
        coloured(png_chunk(b"gAMA", struct.pack(">I", 2000))),
        coloured(png_chunk(b"gAMA", struct.pack(">I", 1_000_000))),
        coloured(png_chunk(b"gAMA", b"")),
        coloured(png_chunk(b"cHRM", SWAPPED)),
    ],
    ids=["grey key", "colour key", "dark gamma", "bright gamma", "broken gamma", "swapped primaries"],
)
def test_headers_that_change_what_is_seen_are_refused(image):
    assert_not_as_stored(image)


@pytest.mark.parametrize("gamma", [45455, 55556, 100_000])
def test_ordinary_colours_pass(gamma):
    image = coloured(png_chunk(b"gAMA", struct.pack(">I", gamma)), png_chunk(b"cHRM", SRGB))
    assert np.array_equal(framed(image).bgr, PIXELS[..., ::-1])
    ignored = coloured(png_chunk(b"sRGB", b"\x00"), png_chunk(b"gAMA", struct.pack(">I", 2000)))
    assert framed(ignored).bgr.shape == PIXELS.shape


@pytest.mark.parametrize("masks", [(0x1F, 0x3E0, 0x7C00, 0), (0xFF0000, 0xFF0000, 0xFF0000, 0)])
def test_bmp_masks_that_viewers_read_differently_are_unsupported(masks):
    with pytest.raises(ImageRefused) as refused:
        framed(bmp(255, masks))
    assert refused.value.code is ErrorCode.UNSUPPORTED_FORMAT
