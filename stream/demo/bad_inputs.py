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
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\x00" * 4096)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def slow_jpeg(side: int = 7000, scans: int = 90) -> bytes:
    """A progressive JPEG that repeats its last scan: each pass over all blocks costs time and few bytes."""
    buffer = BytesIO()
    Image.new("RGB", (side, side), (128, 110, 100)).save(buffer, "JPEG", progressive=True, quality=75)
    file = buffer.getvalue()
    last = file.rindex(_START_OF_SCAN)
    return file[:last] + file[last : -len(_END_OF_IMAGE)] * scans + _END_OF_IMAGE


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
