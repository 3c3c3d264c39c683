"""BMP headers: size arithmetic over the file and info headers (uncompressed pictures only)."""

from __future__ import annotations

import struct

from detectors.containers.base import Container, Incomplete, Malformed, NotStill
from detectors.containers.work import of_bmp

_CORE_HEADER, _INFO_HEADER = 12, 40
_RGB, _RLE8, _RLE4, _BITFIELDS, _ALPHA_BITFIELDS = 0, 1, 2, 3, 6
_DEPTHS = frozenset((1, 2, 4, 8, 16, 24, 32))
#: Masks of red, green and blue whose pixels every viewer shows alike; 16 bits only behind the plain header.
_MASKS_32 = frozenset(((0xFF0000, 0xFF00, 0xFF), (0xFF, 0xFF00, 0xFF0000)))
_MASKS_16 = frozenset(((0xF800, 0x07E0, 0x1F), (0x7C00, 0x03E0, 0x1F)))
_MASKS_OFFSET = 54
#: Colour spaces of a header whose colours lie in a profile, in the file or beside it.
_SPACE_OFFSET, _PROFILES = 70, (b"DEBM", b"KNIL")


def parse_bmp(image: memoryview) -> Container:
    """Size and end of a BMP; rows are padded to four bytes, a negative height means top-down."""
    if len(image) < 26:
        raise Incomplete("the BMP header is cut off")
    offset = int.from_bytes(image[10:14], "little")
    header = int.from_bytes(image[14:18], "little")
    if header == _CORE_HEADER:
        width, height, _, depth = struct.unpack_from("<HHHH", image, 18)
        compression = _RGB
    else:
        if len(image) < 14 + header:
            raise Incomplete("the BMP header is cut off")
        width, height, _, depth, compression = struct.unpack_from("<iiHHI", image, 18)
    height = abs(height)
    if depth not in _DEPTHS or width <= 0:
        raise Malformed("the BMP header is broken")
    if header > _SPACE_OFFSET - 14 and bytes(image[_SPACE_OFFSET : _SPACE_OFFSET + 4]) in _PROFILES:
        raise NotStill("the BMP has a colour profile, which no camera writes")
    has_alpha = _has_alpha(image, header, depth, compression)
    end = offset + (width * depth + 31) // 32 * 4 * height
    if offset < 14 + header:
        raise Malformed("the BMP header is broken")
    if end > len(image):
        raise Incomplete("the BMP is shorter than its header says")
    return Container(
        width=width, height=height, end=end, pictures=((0, end),), has_alpha=has_alpha, work=of_bmp(width * height)
    )


def _has_alpha(image: memoryview, header: int, depth: int, compression: int) -> bool:
    """Whether the pixels carry opacity. Raises NotStill for a compression or masks that viewers read differently:
    what a run-length picture leaves out, for example, is black, white or transparent."""
    if compression == _RGB:
        return False
    if compression in (_RLE8, _RLE4):
        raise NotStill("the BMP is run-length coded, which no camera writes")
    if compression not in (_BITFIELDS, _ALPHA_BITFIELDS):
        raise NotStill("the BMP wraps another format")
    if len(image) < _MASKS_OFFSET + 16:
        raise Incomplete("the BMP header is cut off")
    *colours, alpha = struct.unpack_from("<IIII", image, _MASKS_OFFSET)
    if header == _INFO_HEADER:
        known = tuple(colours) == (0xFF0000, 0xFF00, 0xFF) if depth == 32 else tuple(colours) in _MASKS_16
        alpha = alpha if compression == _ALPHA_BITFIELDS else 0
    else:
        known = depth == 32 and tuple(colours) in _MASKS_32
        alpha = alpha if header > 52 else 0
    if not known or alpha not in (0, 0xFF000000):
        raise NotStill("the BMP spreads its colours over bits in a way that no camera writes")
    return bool(alpha)
