"""PNG headers: a walk over the chunks (PNG specification, third edition) to IEND, inflating nothing but names."""

from __future__ import annotations

from dataclasses import dataclass, field

from detectors.containers.base import Container, Incomplete, Malformed, NotAsStored, NotStill, join_ranges
from detectors.containers.colour_profile import MAX_BYTES, require_usual_colours
from detectors.containers.png_data import row_bytes
from detectors.containers.png_text import inflated, software_of
from detectors.containers.work import of_png

_SIGNATURE_BYTES = 8
#: What a decoder needs. Text, colour profiles and the like (which may inflate without bound) stay out.
_PICTURE_CHUNKS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))
_ANIMATION_CHUNKS = frozenset((b"acTL", b"fcTL", b"fdAT"))
#: Chunks beside which viewers take no notice of gAMA and cHRM.
_COLOUR_SPACES = frozenset((b"sRGB", b"iCCP", b"cICP"))
#: Primaries and transfer functions (ITU-T H.273) of a cICP chunk that show about what is stored: BT.709, P3, BT.2020;
#: not those of high dynamic range.
_CICP_PRIMARIES, _CICP_TRANSFERS = frozenset((1, 9, 11, 12)), frozenset((1, 6, 13, 14, 15))
_END_CHUNK = b"\x00\x00\x00\x00IEND\xae\x42\x60\x82"
_GREY, _ALPHA_BIT = 0, 4

#: Gammas (times 100,000) of real encoders are 1/2.2, 1/1.8 and 1. One of 0.02 shows only what is stored darkest:
#: another picture.
_GAMMAS = range(30_000, 100_001)
#: Ranges (times 100,000) in which white point, red, green and blue of real colour spaces lie, x then y: sRGB, P3,
#: Rec. 2020, Adobe, ProPhoto. Swapped or bent ones show other colours than are judged.
_PRIMARIES = (
    *(range(24_000, 46_001), range(24_000, 46_001)),
    *(range(55_000, 75_001), range(24_000, 40_001)),
    *(range(10_000, 40_001), range(50_000, 90_001)),
    *(range(20_001), range(20_001)),
)

#: 10 MB in the smallest chunks seen from real encoders (4 KB) are 2,560.
MAX_CHUNKS = 20_000


@dataclass(slots=True)
class _Walk:
    """State of a walk over the chunks."""

    colour_type: int
    kept: list[tuple[int, int]] = field(default_factory=lambda: [(0, _SIGNATURE_BYTES)])
    exif: bytes | None = None
    software: str = ""
    has_data: bool = False
    has_alpha: bool = False
    has_colour_space: bool = False
    has_profile: bool = False
    bends_colours: bool = False


def parse_png(image: memoryview) -> Container:
    """Header, kept chunks, EXIF block and names of software of a still PNG. A file that lacks only its IEND chunk is
    closed: its decoder tells whether the pixels are whole."""
    _require_header(image)
    walk = _Walk(colour_type=image[25], has_alpha=bool(image[25] & _ALPHA_BIT))
    position, closing = _SIGNATURE_BYTES, b""
    for _ in range(MAX_CHUNKS):
        length = int.from_bytes(image[position : position + 4], "big")
        kind = bytes(image[position + 4 : position + 8])
        stop = position + 12 + length
        if walk.has_data and stop > len(image) and _END_CHUNK.startswith(bytes(image[position : position + 12])):
            walk.kept.append((position, len(image)))
            position, closing = len(image), _END_CHUNK[len(image) - position :]
            break
        if len(kind) < 4 or stop > len(image):
            raise Incomplete("the PNG ends before its IEND chunk")
        _chunk(walk, kind, image[position + 8 : stop - 4], (position, stop))
        position = stop
        if kind == b"IEND":
            break
    else:
        raise Malformed("the PNG has more chunks than a picture needs")
    return _finish(walk, image, position, closing)


def _chunk(walk: _Walk, kind: bytes, payload: memoryview, place: tuple[int, int]) -> None:
    """Note one chunk; raises NotStill, NotAsStored or Malformed."""
    if kind in _ANIMATION_CHUNKS:
        raise NotStill("the PNG is animated")
    if kind == b"tRNS" and not walk.has_data:
        if walk.colour_type == _GREY:  # the decoder here shows no alpha for these
            raise NotAsStored("the PNG makes one shade of grey transparent, which no camera does")
        walk.has_alpha = True
    if kind in _PICTURE_CHUNKS:
        walk.kept.append(place)
        walk.has_data = walk.has_data or kind == b"IDAT"
    elif kind in _COLOUR_SPACES:
        if kind == b"iCCP" and walk.has_profile:  # a megabyte of profile takes a kilobyte of the file
            raise Malformed("the PNG has two colour profiles")
        walk.has_profile = walk.has_profile or kind == b"iCCP"
        walk.has_colour_space = True
        _check_colour_space(kind, payload)
    elif kind in (b"gAMA", b"cHRM"):
        walk.bends_colours = walk.bends_colours or not _is_usual(payload, (_GAMMAS,) if kind == b"gAMA" else _PRIMARIES)
    elif kind == b"eXIf" and walk.exif is None:
        walk.exif = bytes(payload)
    else:
        walk.software = walk.software or software_of(kind, payload)


def _check_colour_space(kind: bytes, payload: memoryview) -> None:
    """Raise NotAsStored for a profile or code points that no camera has."""
    if kind == b"cICP" and not (len(payload) == 4 and payload[0] in _CICP_PRIMARIES and payload[1] in _CICP_TRANSFERS):
        raise NotAsStored("the PNG asks viewers for colours that no camera has (its cICP chunk)")
    if kind == b"iCCP":
        _, _, packed = bytes(payload).partition(b"\x00")
        require_usual_colours(inflated(packed[1:], MAX_BYTES + 1))


def _finish(walk: _Walk, image: memoryview, end: int, closing: bytes) -> Container:
    if not walk.has_data:
        raise Incomplete("the PNG has no picture data")
    if walk.bends_colours and not walk.has_colour_space:
        raise NotAsStored("the PNG asks viewers for colours that no camera has (its gAMA or cHRM chunk)")
    width, height = int.from_bytes(image[16:20], "big"), int.from_bytes(image[20:24], "big")
    return Container(
        width=width,
        height=height,
        end=end,
        pictures=join_ranges(walk.kept),
        closing=closing,
        has_alpha=walk.has_alpha,
        exif=walk.exif,
        software=walk.software,
        work=of_png(row_bytes(image), width * height),
    )


def _require_header(image: memoryview) -> None:
    if bytes(image[8:16]) != b"\x00\x00\x00\rIHDR" or len(image) < 33:
        raise Malformed("the PNG does not start with its header")


def _is_usual(payload: memoryview, ranges: tuple[range, ...]) -> bool:
    numbers = [int.from_bytes(payload[start : start + 4], "big") for start in range(0, 4 * len(ranges), 4)]
    return all(number in usual for number, usual in zip(numbers, ranges, strict=True))
