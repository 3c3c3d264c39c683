"""Quantization tables of a JPEG against the camera that its metadata name.

Most software compresses by libjpeg and its example tables, scaled by a quality, and a file shows it (Kornblum, Using
JPEG quantization tables to identify imagery processed by software, DFRWS 2008). Many Android cameras use these tables
too. Apple's devices write tables "shared by Apple devices and not by others" (Amped Software, Adaptive JPEG
quantization tables, 9 June 2020): a file that claims to be as such a camera took it, with libjpeg's tables, was
compressed again by a program that does not say so. Programs that do so honestly exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from detectors.contract import Indication
from detectors.image_format import ImageFormat
from detectors.injection.embedded import EmbeddedMetadata

#: Makes whose cameras never write libjpeg's tables.
OWN_TABLES = frozenset(("apple",))
#: What such a camera writes as its software: a version of the system, and nothing else.
_SYSTEM_VERSION = re.compile(r"\d{1,3}(?:\.\d{1,3}){0,3}")
#: Qualities of libjpeg that are looked for: above, tables are next to all ones, by any program.
_QUALITIES = range(1, 98)
#: Example tables of ITU-T T.81, annex K.1 and K.2, in zigzag order.
_LUMINANCE = (
    *(16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51),
    *(61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77),
    *(113, 121, 112, 100, 120, 92, 101, 103, 99),
)
_CHROMINANCE = (17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66, *(99,) * 50)


def quantization(embedded: EmbeddedMetadata) -> Iterator[Indication]:
    """Indication of a picture that a camera with tables of its own is said to have taken, compressed by libjpeg's."""
    exif = embedded.exif
    unedited = all(_SYSTEM_VERSION.fullmatch(name) for name in exif.software)
    if embedded.header.format is not ImageFormat.JPEG or not exif.optical or exif.make.lower() not in OWN_TABLES:
        return
    if unedited and embedded.quantization in _STANDARD:
        detail = "The picture was compressed by other software than that of the camera that its metadata name."
        yield Indication(code="other_compression", detail=detail)


def _scaled(table: tuple[int, ...], quality: int) -> bytes:
    """Table of a libjpeg quality (jcparam.c, jpeg_quality_scaling)."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return bytes(min(max((value * scale + 50) // 100, 1), 255) for value in table)


_STANDARD = frozenset((_scaled(_LUMINANCE, quality), _scaled(_CHROMINANCE, quality)) for quality in _QUALITIES)
