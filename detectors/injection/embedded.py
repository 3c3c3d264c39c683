"""Metadata embedded in a picture file: text, XMP, C2PA and application segments, read once for every check.

The image gate has walked the file: what the decoder does not need lies between its byte ranges, in whole segments or
chunks. Each is looked at once and copied up to a bound, so that no file costs more than its own length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from detectors.containers.png_text import text_entry
from detectors.exif import ExifFacts
from detectors.image_format import ImageFormat
from detectors.image_gate import ImageHeader

#: A photograph's XMP has some kilobytes. A manifest has a thumbnail in front of what it says, of any size: the bound is
#: that of a file.
MAX_XMP_BYTES = 256 * 1024
MAX_MANIFEST_BYTES = 10 * 1024 * 1024
MAX_TEXT_BYTES = 1024
MAX_TEXTS = 32
MAX_EXIF_BYTES = 64 * 1024

#: Application segments that the image gate leaves out (APP0 and APP14 stay with the picture), and comments.
_SEGMENT = re.compile(rb"\xff([\xe1-\xed\xef\xfe])", re.DOTALL)
_XMP, _XMP_MORE = b"http://ns.adobe.com/xap/1.0/\x00", b"http://ns.adobe.com/xmp/extension/\x00"
#: An extension of XMP has a GUID, a length and an offset in front (XMP part 3, 1.1.3.1).
_XMP_MORE_HEADER = len(_XMP_MORE) + 40
#: JUMBF in APP11: "JP", box number (2), packet number (4), then length and type of the box again (ISO 19566-5, D.2).
_JUMBF, _JUMBF_HEADER, _BOX_HEADER = b"JP", 8, 8
_APP1, _APP11, _APP13, _COM = 0xE1, 0xEB, 0xED, 0xFE
_MARK, _SOI, _SOS, _DQT = 0xFF, 0xD8, 0xDA, 0xDB
#: A quantization table has 64 values and one of four numbers (T.81, B.2.4.1);
#: the upper half of the byte with the number tells a precision of 16 bits.
_TABLE_VALUES, _HIGHEST_TABLE = 64, 3
#: Keyword under which a PNG has its XMP.
_PNG_XMP = "XML:com.adobe.xmp"
#: Mark that one social network writes into the IPTC block of every picture it serves.
_SOCIAL_NETWORK = b"FBMD"


@dataclass(slots=True)
class EmbeddedMetadata:
    """Metadata of a picture file, of any format, each part up to its bound. Bytes and texts are a stranger's and never
    leave the process.

    `texts` are (keyword, text) pairs of a PNG, `comments` those of a JPEG; `manifest` are the C2PA boxes, joined;
    `quantization` are a JPEG's tables of 8 bits by number, each in zigzag order. `has_xmp`: XMP was looked at.
    """

    header: ImageHeader
    xmp: bytearray = field(default_factory=bytearray, repr=False)
    manifest: bytearray = field(default_factory=bytearray, repr=False)
    texts: list[tuple[str, str]] = field(default_factory=list, repr=False)
    comments: list[str] = field(default_factory=list, repr=False)
    has_xmp: bool = False
    from_social_network: bool = False
    quantization: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def exif(self) -> ExifFacts:
        return self.header.exif

    @property
    def exif_block(self) -> bytes:
        return (self.header.container.exif or b"")[:MAX_EXIF_BYTES]

    def add_xmp(self, payload: memoryview) -> None:
        self.xmp += payload[: MAX_XMP_BYTES - len(self.xmp)]

    def add_manifest(self, payload: memoryview) -> None:
        self.manifest += payload[: MAX_MANIFEST_BYTES - len(self.manifest)]


def read_embedded(image: bytes | memoryview, header: ImageHeader) -> EmbeddedMetadata:
    """Metadata of a file that the image gate let through. Pure, bounded; raises nothing."""
    view, found = memoryview(image).cast("B"), EmbeddedMetadata(header)
    if header.format is ImageFormat.JPEG:
        for code, payload in _segments(view, header):
            _jpeg_segment(found, code, payload)
        found.quantization = _quantization(view, header)
    elif header.format is ImageFormat.PNG:
        for kind, payload in _png_chunks(view, header):
            _png_chunk(found, kind, payload)
    elif header.format is ImageFormat.WEBP:
        for kind, payload in _webp_chunks(view):
            _webp_chunk(found, kind, payload)
    return found


def _gaps(header: ImageHeader) -> Iterator[tuple[int, int]]:
    """Byte ranges between those that the decoder needs."""
    for (_, start), (stop, _) in pairwise(header.container.pictures):
        yield start, stop


def _segments(view: memoryview, header: ImageHeader) -> Iterator[tuple[int, memoryview]]:
    for position, stop in _gaps(header):
        while (marker := _SEGMENT.search(view, position, stop)) is not None:
            start = marker.end()
            end = start + max(2, int.from_bytes(view[start : start + 2], "big"))
            yield marker[1][0], view[start + 2 : min(end, stop)]
            position = end


def _quantization(view: memoryview, header: ImageHeader) -> tuple[bytes, ...]:
    """Quantization tables in front of the first scan; none if there are some that no check knows."""
    found: dict[int, bytes] = {}
    for start, stop in header.container.pictures:
        position = start
        while position + 4 <= stop and view[position] == _MARK and view[position + 1] != _SOS:
            code = view[position + 1]
            length = 0 if code == _SOI else int.from_bytes(view[position + 2 : position + 4], "big")
            if code == _DQT and not _add_tables(found, view[position + 4 : position + 2 + length]):
                return ()
            position += 2 + length
        if position + 1 < stop and view[position + 1] == _SOS:
            break
    return tuple(table for _, table in sorted(found.items()))


def _add_tables(found: dict[int, bytes], payload: memoryview) -> bool:
    """Tables of one segment noted, each behind a byte with its precision and number; False if one is not of 8 bits."""
    while len(payload) > _TABLE_VALUES:
        if payload[0] > _HIGHEST_TABLE:
            return False
        found[payload[0]] = bytes(payload[1 : 1 + _TABLE_VALUES])
        payload = payload[1 + _TABLE_VALUES :]
    return not payload


def _jpeg_segment(found: EmbeddedMetadata, code: int, payload: memoryview) -> None:
    if code == _APP1 and _begins(payload, _XMP):
        found.add_xmp(payload[len(_XMP) :])
    elif code == _APP1 and _begins(payload, _XMP_MORE):
        found.add_xmp(payload[_XMP_MORE_HEADER:])
    elif code == _APP11 and _begins(payload, _JUMBF):
        # Each packet repeats the header of its box; only the first belongs to the box.
        found.add_manifest(payload[_JUMBF_HEADER + (_BOX_HEADER if found.manifest else 0) :])
    elif code == _APP13:
        found.from_social_network = found.from_social_network or _SOCIAL_NETWORK in bytes(payload)
    elif code == _COM and len(found.comments) < MAX_TEXTS:
        found.comments.append(bytes(payload[:MAX_TEXT_BYTES]).decode("utf-8", "replace"))


def _png_chunks(view: memoryview, header: ImageHeader) -> Iterator[tuple[bytes, memoryview]]:
    for position, stop in _gaps(header):
        while position + 12 <= stop:
            length = int.from_bytes(view[position : position + 4], "big")
            yield bytes(view[position + 4 : position + 8]), view[position + 8 : min(position + 8 + length, stop)]
            position += 12 + length


def _png_chunk(found: EmbeddedMetadata, kind: bytes, payload: memoryview) -> None:
    if kind == b"caBX":
        found.add_manifest(payload)
    elif len(found.texts) < MAX_TEXTS:
        keyword, text = text_entry(kind, payload, MAX_TEXT_BYTES)
        if keyword == _PNG_XMP and not found.has_xmp:  # once, whatever it inflates to
            found.has_xmp = True
            text = text_entry(kind, payload, MAX_XMP_BYTES)[1]
            found.add_xmp(memoryview(text.encode("utf-8", "replace")))
        elif keyword:
            found.texts.append((keyword, text))


def _webp_chunks(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    position = 12
    while position + 8 <= len(view):
        length = int.from_bytes(view[position + 4 : position + 8], "little")
        yield bytes(view[position : position + 4]), view[position + 8 : position + 8 + length]
        position += 8 + length + (length & 1)


def _webp_chunk(found: EmbeddedMetadata, kind: bytes, payload: memoryview) -> None:
    if kind == b"XMP ":
        found.add_xmp(payload)
    elif kind == b"C2PA":
        found.add_manifest(payload)


def _begins(payload: memoryview, identifier: bytes) -> bool:
    return bytes(payload[: len(identifier)]) == identifier
