"""PNG headers: a walk over the chunks (PNG specification, third edition) to IEND, inflating nothing."""

from __future__ import annotations

from detectors.containers.base import Container, Malformed, NotStill, join_ranges

_SIGNATURE_BYTES = 8
#: What a decoder needs. Text, colour profiles and the like (which may inflate without bound) stay out.
_PICTURE_CHUNKS = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND"))
_ANIMATION_CHUNKS = frozenset((b"acTL", b"fcTL", b"fdAT"))

#: 10 MB in the smallest chunks seen from real encoders (4 KB) are 2,560.
MAX_CHUNKS = 20_000
#: A program name longer than this is not one.
_MAX_SOFTWARE_BYTES = 128


def parse_png(image: memoryview) -> Container:
    """Header, kept chunks, EXIF block and the tEXt `Software` entry of a still PNG."""
    kept: list[tuple[int, int]] = [(0, _SIGNATURE_BYTES)]
    exif: bytes | None = None
    software, has_data = "", False
    position = _SIGNATURE_BYTES
    width, height = _size(image)
    for _ in range(MAX_CHUNKS):
        length = int.from_bytes(image[position : position + 4], "big")
        kind = bytes(image[position + 4 : position + 8])
        stop = position + 12 + length
        if len(kind) < 4 or stop > len(image):
            raise Malformed("the PNG ends before its IEND chunk")
        if kind in _ANIMATION_CHUNKS:
            raise NotStill("the PNG is animated")
        if kind in _PICTURE_CHUNKS:
            kept.append((position, stop))
        elif kind == b"eXIf" and exif is None:
            exif = bytes(image[position + 8 : stop - 4])
        elif kind == b"tEXt" and not software:
            software = _software(image[position + 8 : stop - 4])
        has_data = has_data or kind == b"IDAT"
        position = stop
        if kind == b"IEND":
            break
    else:
        raise Malformed("the PNG has more chunks than a picture needs")
    if not has_data:
        raise Malformed("the PNG has no picture data")
    return Container(width=width, height=height, end=position, pictures=join_ranges(kept), exif=exif, software=software)


def _size(image: memoryview) -> tuple[int, int]:
    if bytes(image[8:16]) != b"\x00\x00\x00\rIHDR" or len(image) < 33:
        raise Malformed("the PNG does not start with its header")
    return int.from_bytes(image[16:20], "big"), int.from_bytes(image[20:24], "big")


def _software(text: memoryview) -> str:
    keyword, _, value = bytes(text[: _MAX_SOFTWARE_BYTES + 9]).partition(b"\x00")
    return value.decode("latin-1") if keyword == b"Software" else ""
