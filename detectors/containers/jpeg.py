"""JPEG headers: a walk over the marker segments (ITU-T T.81, annex B) to the end-of-image marker or the file's end."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from detectors.containers.base import Container, Incomplete, Malformed, join_ranges
from detectors.containers.colour_profile import require_usual_colours
from detectors.containers.jpeg_scans import FrameHeader, read_frame_header
from detectors.containers.work import of_jpeg

#: The next real marker: 0xFF and a code that is neither stuffing, fill, nor a restart inside a scan.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)

_SOI, _EOI, _SOS, _TEM = 0xD8, 0xD9, 0xDA, 0x01
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Application segments the decoder needs: JFIF (APP0) and Adobe's colour transform (APP14).
_METADATA = frozenset((*range(0xE1, 0xEE), 0xEF, 0xFE))
_EXIF_ID = b"Exif\x00\x00"
_PROFILE_ID, _PROFILE_HEAD = b"ICC_PROFILE\x00", 14
_APP0, _JFIF_ID, _JFIF_LENGTH = 0xE0, b"JFIF\x00", 14
_APP14, _ADOBE_ID, _ADOBE_LENGTH = 0xEE, b"Adobe", 12
#: Adobe's colour transforms by the number of components; libjpeg takes any other code for the last of these.
_TRANSFORMS = {3: (0, 1), 4: (0, 2)}
#: First and last coefficient and bits of each scan that is not progressive, whatever its header says.
_SEQUENTIAL = (0, 63, 0)

#: A camera JPEG has some tens of segments, a progressive one about ten scans with a table each.
MAX_SEGMENTS = 4096
#: Every scan is a pass over all blocks of its components, whatever its bytes (`work` counts them); encoders write about
#: ten.
MAX_SCANS = 100


_END_OF_IMAGE = b"\xff\xd9"
_DHT, _AC, _END_OF_BLOCK = 0xC4, 0x10, 0x00
#: Codes of a progressive scan for the end of two blocks and more: a coder that has them writes no zeros for flat parts.
_ENDS_OF_BLOCKS = frozenset(range(0x10, 0xF0, 0x10))
#: Zeros in scan data are the shortest code over and over: blocks of one colour, if that code is the end of a block.
#: Otherwise coefficients that no picture has, for several blocks: a piece that never arrived. In progressive scans
#: of photographs at most 5 zero bytes follow each other, and 117 of stripes and gradients.
_ZEROS = bytes(128)
#: Ones (bytes of 0xFF, each stuffed with a zero) are no code at all: each has a zero bit (T.81, C.2), and behind a code
#: stand at most 15 bits of a value. But libjpeg writes up to 1000 correction bits in a row in a refining scan.
_ONES = b"\xff\x00" * 128
#: Zeros that cameras leave behind the last scan, up to the end of a block of a card.
_MOST_PADDING = 512


@dataclass(slots=True)
class _Walk:
    """State of a walk over the segments; `in_scan` while what follows a segment is scan data. `flat` are the tables of
    AC codes in which zeros mean blocks of one colour, `holes` what should not be in this scan's data; `scan_data` has
    the place of each scan's data with its holes. `wanted` are bytes (offset, value) of which libjpeg complains if
    others stand there; `adobe` are the offsets of colour transforms."""

    frame: FrameHeader | None = None
    in_scan: bool = False
    holes: tuple[bytes, ...] = ()
    flat: set[int] = field(default_factory=set)
    wanted: dict[int, int] = field(default_factory=dict)
    adobe: list[int] = field(default_factory=list)
    exif: bytes | None = None
    profile: dict[int, memoryview] = field(default_factory=dict)
    kept: list[tuple[int, int]] = field(default_factory=list)
    scan_data: list[tuple[int, int, tuple[bytes, ...]]] = field(default_factory=list)

    def keep(self, position: int, start: int, stop: int) -> None:
        """Keep a segment from `start` to `stop`, and scan data since `position`. Bytes between two header segments
        belong to neither: every decoder skips them, but not in front of the first segment, once others are cut out."""
        self.kept.append((position if self.in_scan else start, stop))
        if self.in_scan:
            self.scan_data.append((position, start, self.holes))


def parse_jpeg(image: memoryview) -> Container:
    """Container of a still JPEG: segments followed to the end-of-image marker. Raises Malformed, also beyond
    `MAX_SEGMENTS`, which hide something. A file that lacks only the end marker is closed: its decoder tells whether
    the last scan is whole."""
    walk, position = _Walk(kept=[(0, 2)]), 2
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.search(image, position)
        if found is None:
            return _finish(image, walk, position, len(image), closing=_END_OF_IMAGE)
        code, start = image[found.start() + 1], found.start()
        if code == _EOI:
            return _finish(image, walk, position, found.end())
        position = _segment(image, walk, code, position, start)
    raise Malformed(f"the JPEG has more than {MAX_SEGMENTS} segments, which no camera writes")


def _segment(image: memoryview, walk: _Walk, code: int, position: int, start: int) -> int:
    """Note one segment whose marker is at `start`; give the next offset. What lies between `position` and
    `start` is scan data behind a scan header, else nothing."""
    if code in (_SOI, _TEM):
        walk.keep(position, start, start + 2)
        return start + 2
    length = int.from_bytes(image[start + 2 : start + 4], "big")
    stop = start + 2 + length
    if stop > len(image) or start + 4 > len(image):
        raise Incomplete("the JPEG ends within a segment")
    if length < 2:
        raise Malformed("a JPEG segment is shorter than its own length")
    if code in _METADATA:
        if code == 0xE1 and not walk.exif and bytes(image[start + 4 : start + 10]) == _EXIF_ID:
            walk.exif = bytes(image[start + 10 : stop])
        if code == 0xE2 and bytes(image[start + 4 : start + 16]) == _PROFILE_ID and length > _PROFILE_HEAD:
            walk.profile.setdefault(image[start + 16], image[start + 4 + _PROFILE_HEAD : stop])
        walk.keep(position, start, start)
    else:
        walk.keep(position, start, stop)
        _picture_segment(image[start + 4 : stop], walk, code)
        _note_oddities(image[start + 4 : stop], walk, code, start + 4)
    walk.in_scan = code == _SOS
    return stop


def _picture_segment(payload: memoryview, walk: _Walk, code: int) -> None:
    if code == _DHT:
        _note_tables(payload, walk.flat)
    if code in _FRAME_HEADERS:
        if walk.frame is not None:
            raise Malformed("the JPEG has two frame headers")
        walk.frame = read_frame_header(code, payload)
    if code == _SOS:
        if walk.frame is None:
            raise Malformed("the JPEG has a scan before its frame header")
        walk.frame.add_scan(payload)
        if walk.frame.scans > MAX_SCANS:
            raise Malformed(f"the JPEG has more than {MAX_SCANS} scans, which no camera writes")
        walk.holes = _holes_of(payload, walk)


def _holes_of(scan: memoryview, walk: _Walk) -> tuple[bytes, ...]:
    """Bytes that are not in the data of a whole scan. The DC scans of a progressive file are zeros wherever a colour
    stays; those that refine are bare bits, which may be anything."""
    first, _, bits = scan[1 + 2 * scan[0] : 4 + 2 * scan[0]]
    if walk.frame is not None and walk.frame.progressive and first == 0:
        return () if bits >> 4 else (_ONES,)
    return (_ONES,) if _AC | scan[2] & 0x0F in walk.flat else (_ZEROS, _ONES)


def _note_oddities(payload: memoryview, walk: _Walk, code: int, at: int) -> None:
    """Note which bytes of a segment libjpeg wants to see; the payload is at offset `at`."""
    if code == _APP0 and len(payload) >= _JFIF_LENGTH and payload[:5] == _JFIF_ID:
        walk.wanted[at + len(_JFIF_ID)] = 1  # the version
    if code == _APP14 and len(payload) >= _ADOBE_LENGTH and payload[:5] == _ADOBE_ID:
        walk.adobe.append(at + _ADOBE_LENGTH - 1)
    if code == _SOS and walk.frame is not None and not walk.frame.progressive:
        walk.wanted |= dict(enumerate(_SEQUENTIAL, at + 1 + 2 * payload[0]))


def _corrections(image: memoryview, walk: _Walk, components: int) -> tuple[tuple[int, int], ...]:
    transforms = _TRANSFORMS.get(components, tuple(range(256)))
    odd = {at: transforms[-1] for at in walk.adobe if image[at] not in transforms}
    return tuple((at, value) for at, value in {**walk.wanted, **odd}.items() if image[at] != value)


def _note_tables(tables: memoryview, flat: set[int]) -> None:
    """Note which tables of AC codes have the end of one block for their shortest code, all zeros, and none for more."""
    while len(tables) > 17:
        stop = 17 + sum(tables[1:17])
        codes = bytes(tables[17:stop])
        is_flat = codes[:1] == bytes([_END_OF_BLOCK]) and _ENDS_OF_BLOCKS.isdisjoint(codes)
        (flat.add if is_flat else flat.discard)(tables[0])
        tables = tables[stop:]


def _check_for_holes(image: memoryview, walk: _Walk, end: int) -> None:
    """Raise Incomplete for a hole in the scan data; padding stands at their `end` only."""
    for start, stop, holes in walk.scan_data:
        coded = bytes(image[start:stop])
        if stop == end:
            coded = coded[:-_MOST_PADDING] + coded[-_MOST_PADDING:].rstrip(b"\x00")
        if any(hole in coded for hole in holes):
            raise Incomplete("the JPEG has a hole in its picture data")


def _finish(image: memoryview, walk: _Walk, position: int, end: int, closing: bytes = b"") -> Container:
    frame = walk.frame
    if frame is None or not frame.scans:
        raise Incomplete("the JPEG ends before its picture data")
    if not frame.is_complete:
        raise Incomplete("the JPEG lacks some of its scans")
    last = end if closing else end - len(_END_OF_IMAGE)
    walk.keep(position, last, end)
    _check_for_holes(image, walk, last)
    require_usual_colours(b"".join(walk.profile[number] for number in sorted(walk.profile)))
    return Container(
        width=frame.width,
        height=frame.height,
        end=end,
        pictures=join_ranges(walk.kept),
        closing=closing,
        corrections=_corrections(image, walk, len(frame.missing_bits)),
        exif=walk.exif,
        work=of_jpeg(frame.scan_samples, frame.scans, end, progressive=frame.progressive),
    )
