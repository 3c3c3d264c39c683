"""BMP headers: size arithmetic over the file and info headers (no compression but run length)."""

from __future__ import annotations

import struct

from detectors.containers.base import Container, Malformed, NotStill

_CORE_HEADER = 12
_RGB, _RLE8, _RLE4, _BITFIELDS, _ALPHA_BITFIELDS = 0, 1, 2, 3, 6
_DEPTHS = frozenset((1, 2, 4, 8, 16, 24, 32))


def parse_bmp(image: memoryview) -> Container:
    """Size and end of a BMP; rows are padded to four bytes, a negative height means top-down."""
    if len(image) < 26:
        raise Malformed("the BMP header is cut off")
    offset = int.from_bytes(image[10:14], "little")
    header = int.from_bytes(image[14:18], "little")
    if header == _CORE_HEADER:
        width, height, _, depth = struct.unpack_from("<HHHH", image, 18)
        compression, stored = _RGB, 0
    else:
        if len(image) < 14 + header:
            raise Malformed("the BMP header is cut off")
        width, height, _, depth, compression, stored = struct.unpack_from("<iiHHII", image, 18)
    height = abs(height)
    if depth not in _DEPTHS or width <= 0:
        raise Malformed("the BMP header is broken")
    end = offset + _data_bytes(width, height, depth, compression, stored)
    if offset < 14 + header or end > len(image):
        raise Malformed("the BMP is shorter than its header says")
    return Container(width=width, height=height, end=end, pictures=((0, end),))


def _data_bytes(width: int, height: int, depth: int, compression: int, stored: int) -> int:
    if compression in (_RLE8, _RLE4):
        if not stored:
            raise Malformed("a run-length BMP must say how long it is")
        return stored
    if compression not in (_RGB, _BITFIELDS, _ALPHA_BITFIELDS):
        raise NotStill("the BMP wraps another format")
    return (width * depth + 31) // 32 * 4 * height
