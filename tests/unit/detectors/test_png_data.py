"""PNG data beyond the pixels: refused at the cost of the pixels, whatever follows."""

from __future__ import annotations

import zlib
from functools import cache

import cv2
import numpy as np
import pytest

from config.catalogues.error_codes import ErrorCode
from detectors.containers import png_data
from detectors.containers.png_data import _TO, SLACK
from detectors.contract import ImageRefused
from stream.demo.bad_inputs import png_chunk, png_of
from tests.unit.detectors.decoded import framed

SIDE = 320
#: Bits a channel, colour type, interlaced -> bytes of all filtered rows of SIDE x SIDE pixels.
KINDS = {
    "rgb": (8, 2, 0, SIDE * (1 + 3 * SIDE)),
    "rgb, 16 bits": (16, 2, 0, SIDE * (1 + 6 * SIDE)),
    "grey": (8, 0, 0, SIDE * (1 + SIDE)),
    "grey, 1 bit": (1, 0, 0, SIDE * (1 + SIDE // 8)),
    # A side of 320 has 40, 40, 40, 80, 80, 160, 160 rows in the passes of Adam7.
    "rgb, interlaced": (8, 2, 1, 3 * SIDE * SIDE + 40 + 40 + 40 + 80 + 80 + 160 + 160),
}
BEYOND = 16 * 1024 * 1024
#: A stored block of no bytes.
EMPTY_BLOCK = b"\x00\x00\x00\xff\xff"


@cache
def packed_zeros(count: int) -> bytes:
    return zlib.compress(bytes(count), 9)


def png(kind: str, beyond: int, *, chunk: int = 8192) -> bytes:
    return png_with(kind, packed_zeros(KINDS[kind][3] + beyond), chunk=chunk)


def png_with(kind: str, packed: bytes, *, chunk: int = 8192) -> bytes:
    depth, colour, interlaced, _ = KINDS[kind]
    *first, last = (packed[start : start + chunk] for start in range(0, len(packed), chunk))
    before = [png_chunk(b"IDAT", piece) for piece in first]
    return png_of(SIDE, SIDE, last, *before, depth=depth, colour=colour, interlaced=interlaced)


@pytest.mark.parametrize("kind", KINDS)
def test_exact_pixels_are_decoded(kind: str) -> None:
    image = png(kind, 0)
    assert framed(image).bgr.shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize("chunk", [512, 1 << 20])
@pytest.mark.parametrize("kind", KINDS)
def test_bomb_costs_its_pixels(kind: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    inflated = [0]
    monkeypatch.setattr(png_data.zlib, "decompressobj", lambda: Counting(inflated))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("handed to the decoder"))
    image = png(kind, BEYOND, chunk=chunk)
    with pytest.raises(ImageRefused, match="beyond its pixels") as refused:
        framed(image)
    assert refused.value.code is ErrorCode.INVALID_REQUEST
    assert inflated[0] <= KINDS[kind][3] + SLACK + _TO


def test_encoders_write_no_more_than_the_pixels() -> None:
    """Pictures as OpenCV writes them, noise and plain, of sizes that fill no byte."""
    chance = np.random.default_rng(7)
    for width in (1, 7, 301):
        for pixels in (chance.integers(0, 256, (64, width, 3), np.uint8), np.zeros((64, width), np.uint8)):
            assert png_data.fault(memoryview(cv2.imencode(".png", pixels)[1].tobytes())) is None


@pytest.mark.parametrize("memory", [1, 8])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_noise_of_any_encoder(level: int, memory: int) -> None:
    """Stored in blocks as small as an encoder makes them, noise takes more room than its pixels."""
    size = KINDS["rgb, 16 bits"][3]
    chance = np.random.default_rng(7).integers(0, 256, size, np.uint8)
    chance[:: 1 + 6 * SIDE] = 0  # filter type of each row: none
    encoder = zlib.compressobj(level, memLevel=memory)
    image = png_with("rgb, 16 bits", encoder.compress(chance.tobytes()) + encoder.flush())
    assert png_data.fault(memoryview(image)) is None


def test_empty_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, amid and behind the pixels: refused within what they may take up, not handed to the decoder."""
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("handed to the decoder"))
    size = KINDS["rgb"][3]
    for before in (0, size // 2, size):
        encoder = zlib.compressobj(9)
        data = encoder.compress(bytes(before)) + encoder.flush(zlib.Z_FULL_FLUSH)
        data += EMPTY_BLOCK * (4 * SLACK // len(EMPTY_BLOCK)) + encoder.compress(bytes(size - before)) + encoder.flush()
        image = png_with("rgb", data)
        with pytest.raises(ImageRefused, match="long parts without pixels"):
            framed(image)


class Counting:
    """Inflater that counts what comes out."""

    def __init__(self, inflated: list[int]) -> None:
        self._inner, self._inflated = REAL(), inflated

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def decompress(self, data: bytes, most: int) -> bytes:
        out = self._inner.decompress(data, most)
        self._inflated[0] += len(out)
        return out


REAL = zlib.decompressobj
