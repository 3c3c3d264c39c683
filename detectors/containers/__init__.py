"""Containers: headers of picture files, read in Python before a native decoder sees a byte; one file a format.

Pure Python, bounded work on any input: a parser walks the headers of its container and answers a
`Container`, or raises `Malformed` (broken), `Incomplete` (cut off), `NotAsStored` (shown otherwise than stored) or
`NotStill` (a format or kind we do not take).
"""

from __future__ import annotations

from detectors.containers.base import Container, Incomplete, Malformed, NotAsStored, NotStill
from detectors.containers.bmp import parse_bmp
from detectors.containers.jpeg import parse_jpeg
from detectors.containers.png import parse_png
from detectors.containers.webp import parse_webp
from detectors.image_format import ImageFormat

PARSERS = {
    ImageFormat.JPEG: parse_jpeg,
    ImageFormat.PNG: parse_png,
    ImageFormat.WEBP: parse_webp,
    ImageFormat.BMP: parse_bmp,
}

__all__ = ["PARSERS", "Container", "Incomplete", "Malformed", "NotAsStored", "NotStill"]
