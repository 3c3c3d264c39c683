"""JPEG headers: a walk over the marker segments (ITU-T T.81, annex B) to the end-of-image marker."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from detectors.containers.base import Container, Malformed, join_ranges

#: The next real marker: 0xFF and a code that is neither stuffing, fill, nor a restart inside a scan.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)

_SOI, _EOI, _SOS, _TEM = 0xD8, 0xD9, 0xDA, 0x01
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Application segments the decoder needs: JFIF (APP0) and Adobe's colour transform (APP14).
_METADATA = frozenset((*range(0xE1, 0xEE), 0xEF, 0xFE))
_EXIF_ID = b"Exif\x00\x00"

#: A camera JPEG has some tens of segments, a progressive one about ten scans with a table each.
MAX_SEGMENTS = 4096
#: Every scan of a progressive file is a pass over all its blocks, whatever its size: a few kilobytes of repeated
#: scans cost a minute of decoding. Encoders write about ten; 100 of them at 50 MP stay under ten seconds.
MAX_SCANS = 100


@dataclass(slots=True)
class _Walk:
    """State of a walk over the segments."""

    size: tuple[int, int] | None = None
    scans: int = 0
    exif: bytes | None = None
    kept: list[tuple[int, int]] = field(default_factory=list)


def parse_jpeg(image: memoryview) -> Container:
    """Container of a still JPEG: segments followed to the end-of-image marker. Raises Malformed, also beyond
    `MAX_SEGMENTS`, which hide something."""
    walk, position = _Walk(kept=[(0, 2)]), 2
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.search(image, position)
        if found is None:
            raise Malformed("the JPEG ends before its end-of-image marker")
        code, start = image[found.start() + 1], found.start()
        if code == _EOI:
            return _finish(walk, position, found.end())
        position = _segment(image, walk, code, position, start)
    raise Malformed(f"the JPEG has more than {MAX_SEGMENTS} segments, which no camera writes")


def _segment(image: memoryview, walk: _Walk, code: int, position: int, start: int) -> int:
    """Note one segment whose marker is at `start`; give the next offset. What lies between `position` and
    `start` is scan data."""
    if code in (_SOI, _TEM):
        walk.kept.append((position, start + 2))
        return start + 2
    length = int.from_bytes(image[start + 2 : start + 4], "big")
    stop = start + 2 + length
    if length < 2 or stop > len(image):
        raise Malformed("a JPEG segment is longer than the file")
    if code in _METADATA:
        if code == 0xE1 and walk.exif is None and bytes(image[start + 4 : start + 10]) == _EXIF_ID:
            walk.exif = bytes(image[start + 10 : stop])
        walk.kept.append((position, start))
        return stop
    if code in _FRAME_HEADERS:
        _frame_header(image[start + 4 : stop], walk)
    if code == _SOS:
        walk.scans += 1
        if walk.scans > MAX_SCANS:
            raise Malformed(f"the JPEG has more than {MAX_SCANS} scans, which no camera writes")
    walk.kept.append((position, stop))
    return stop


def _frame_header(payload: memoryview, walk: _Walk) -> None:
    if len(payload) < 6:
        raise Malformed("the JPEG frame header is too short")
    if walk.size is not None:
        raise Malformed("the JPEG has two frame headers")
    walk.size = int.from_bytes(payload[3:5], "big"), int.from_bytes(payload[1:3], "big")


def _finish(walk: _Walk, position: int, end: int) -> Container:
    if walk.size is None or not walk.scans:
        raise Malformed("the JPEG has no picture data")
    walk.kept.append((position, end))
    width, height = walk.size
    return Container(width=width, height=height, end=end, pictures=join_ranges(walk.kept), exif=walk.exif)
