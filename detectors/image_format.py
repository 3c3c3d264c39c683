"""Formats of the pictures that are accepted, told by a file's first bytes alone."""

from __future__ import annotations

from enum import StrEnum

#: Bytes `sniff` looks at.
SNIFF_BYTES = 18

#: Sizes of the BMP information headers in use; "BM" alone is two letters any text may start with.
_BMP_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})


class ImageFormat(StrEnum):
    """Container format of a picture."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WEBP"
    BMP = "BMP"


def sniff(image: bytes | memoryview) -> ImageFormat | None:
    """Format by magic number, or None. File name and declared content type are not asked. Pure, raises nothing."""
    head = bytes(image[:SNIFF_BYTES])
    if head.startswith(b"\xff\xd8\xff"):
        return ImageFormat.JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return ImageFormat.PNG
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return ImageFormat.WEBP
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return ImageFormat.BMP
    return None
