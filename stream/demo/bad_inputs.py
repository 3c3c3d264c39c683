"""Hostile and broken image files, built from nothing or from one photograph's file: each is small to send."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

from PIL import Image

_END_OF_IMAGE = b"\xff\xd9"
_START_OF_SCAN = b"\xff\xda"


def truncated(file: bytes) -> bytes:
    """The first half of a file, as a broken upload leaves it."""
    return file[: len(file) // 2]


def not_an_image() -> bytes:
    """Text that claims nothing."""
    return b"%PDF-1.7 this is not a picture\n"


def giant_png() -> bytes:
    """A PNG whose header promises 60,000 x 60,000 pixels: a few bytes here, gigabytes when decoded."""
    return png_of(60_000, 60_000, zlib.compress(b"\x00" * 4096))


def png_of(
    width: int, height: int, data: bytes, *extra: bytes, depth: int = 8, colour: int = 2, interlaced: int = 0
) -> bytes:
    """A PNG of this packed picture data, with `extra` chunks before them."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    chunks = (png_chunk(b"IHDR", header), *extra, png_chunk(b"IDAT", data), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def slow_jpeg(side: int = 7000, scans: int = 90) -> bytes:
    """A progressive JPEG that repeats its last scan: each pass over all blocks costs time and few bytes."""
    buffer = BytesIO()
    Image.new("RGB", (side, side), (128, 110, 100)).save(buffer, "JPEG", progressive=True, quality=75)
    file = buffer.getvalue()
    last = file.rindex(_START_OF_SCAN)
    return file[:last] + file[last : -len(_END_OF_IMAGE)] * scans + _END_OF_IMAGE


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
