"""Text of a PNG: its tEXt, zTXt and iTXt entries, among them the name of the software that wrote the file."""

from __future__ import annotations

import zlib

#: A program name longer than this is not one.
MAX_SOFTWARE_BYTES = 128
_MAX_KEYWORD_BYTES = 79
_SOFTWARE = "Software"
_TEXT_CHUNKS = frozenset((b"tEXt", b"zTXt", b"iTXt"))


def software_of(kind: bytes, payload: memoryview) -> str:
    """Name in a text chunk, empty if there is none. Reads a bounded part and inflates no more than a name's length."""
    keyword, text = text_entry(kind, payload, MAX_SOFTWARE_BYTES)
    return text if keyword == _SOFTWARE else ""


def text_entry(kind: bytes, payload: memoryview, most: int) -> tuple[str, str]:
    """Keyword and text of a text chunk, both empty for any other chunk. No more than `most` bytes of text are inflated,
    out of four times as many stored ones."""
    keyword, separator, rest = bytes(payload[: _MAX_KEYWORD_BYTES + 1 + 4 * most]).partition(b"\x00")
    if kind not in _TEXT_CHUNKS or not separator or len(keyword) > _MAX_KEYWORD_BYTES:
        return "", ""
    return keyword.decode("latin-1"), _text(kind, rest, most)


def _text(kind: bytes, rest: bytes, most: int) -> str:
    if kind == b"tEXt":
        return rest[:most].decode("latin-1")
    if kind == b"zTXt":
        return inflated(rest[1:], most).decode("latin-1")
    if len(rest) < 2:
        return ""
    is_compressed, languages = rest[0] == 1, rest[2:].split(b"\x00", 2)
    text = languages[-1] if len(languages) > 2 else b""
    return (inflated(text, most) if is_compressed else text[:most]).decode("utf-8", "replace")


def inflated(packed: bytes, most: int) -> bytes:
    """The first bytes of a deflated text, `most` of them; empty if it is none."""
    try:
        return zlib.decompressobj().decompress(packed, most)
    except zlib.error:
        return b""
