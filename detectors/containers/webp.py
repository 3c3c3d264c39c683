"""WebP headers: the RIFF chunks (RFC 9649) and the size fields inside VP8, VP8L and VP8X."""

from __future__ import annotations

from detectors.containers.base import Container, Incomplete, Malformed, NotStill
from detectors.containers.colour_profile import require_usual_colours
from detectors.containers.work import of_webp

_ANIMATION_FLAG = 0x02
#: A still WebP has at most a handful (VP8X, ICCP, ALPH, VP8, EXIF, XMP).
MAX_CHUNKS = 256
#: Picture data are packed so tightly that few zero bytes follow each other: at most 138 in photographs at qualities
#: of 10 to 100 and lossless, 97 for each megapixel of one colour (M). A longer run is a piece that never arrived.
_FEWEST_HOLE_BYTES, _PIXELS_PER_HOLE_BYTE = 256, 5000


def parse_webp(image: memoryview) -> Container:
    """Canvas size, EXIF block and end of a still WebP; the RIFF size says where the picture ends."""
    end = 8 + int.from_bytes(image[4:8], "little")
    if end > len(image) or end < 20:
        raise Incomplete("the WebP is shorter than its RIFF header says")
    sizes: list[tuple[int, int]] = []
    chunks: dict[bytes, int] = {}
    exif: bytes | None = None
    packed, position = b"", 12
    for _ in range(MAX_CHUNKS):
        if position + 8 > end:
            break
        kind = bytes(image[position : position + 4])
        length = int.from_bytes(image[position + 4 : position + 8], "little")
        payload = image[position + 8 : position + 8 + length]
        if position + 8 + length > end:
            raise Incomplete("a WebP chunk is longer than the file")
        if kind in (b"ANIM", b"ANMF") or (kind == b"VP8X" and payload[:1] and payload[0] & _ANIMATION_FLAG):
            raise NotStill("the WebP is animated")
        chunks[kind] = chunks.get(kind, 0) + length
        if kind in _SIZE_OF:
            sizes.append(_SIZE_OF[kind](payload))
            packed = packed if kind == b"VP8X" else bytes(payload)
        elif kind == b"EXIF" and exif is None:
            exif = bytes(payload)
        elif kind == b"ICCP":
            if chunks[kind] > length:
                raise Malformed("the WebP has two colour profiles")
            require_usual_colours(bytes(payload))
        position += 8 + length + (length & 1)
    else:
        raise Malformed("the WebP has more chunks than a picture needs")
    if not packed:
        raise Incomplete("the WebP has no picture data")
    width, height = max(s[0] for s in sizes), max(s[1] for s in sizes)
    if bytes(_FEWEST_HOLE_BYTES + width * height // _PIXELS_PER_HOLE_BYTE) in packed:
        raise Incomplete("the WebP has a hole in its picture data")
    return Container(
        width=width,
        height=height,
        end=end,
        pictures=((0, end),),
        has_alpha=True,
        exif=_strip_prefix(exif),
        work=of_webp(chunks, width * height),
    )


def _lossy_size(payload: memoryview) -> tuple[int, int]:
    if bytes(payload[3:6]) != b"\x9d\x01\x2a" or len(payload) < 10:
        raise Malformed("the WebP frame header is broken")
    width, height = int.from_bytes(payload[6:8], "little"), int.from_bytes(payload[8:10], "little")
    return width & 0x3FFF, height & 0x3FFF


def _lossless_size(payload: memoryview) -> tuple[int, int]:
    if bytes(payload[:1]) != b"\x2f" or len(payload) < 5:
        raise Malformed("the WebP frame header is broken")
    packed = int.from_bytes(payload[1:5], "little")
    return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1


def _canvas_size(payload: memoryview) -> tuple[int, int]:
    if len(payload) < 10:
        raise Malformed("the WebP canvas header is too short")
    return int.from_bytes(payload[4:7], "little") + 1, int.from_bytes(payload[7:10], "little") + 1


_SIZE_OF = {b"VP8 ": _lossy_size, b"VP8L": _lossless_size, b"VP8X": _canvas_size}


def _strip_prefix(exif: bytes | None) -> bytes | None:
    """TIFF block without JPEG's identifier, which some writers keep in front."""
    return exif.removeprefix(b"Exif\x00\x00") if exif else exif
