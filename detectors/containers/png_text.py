"""Text of a PNG that names the software which wrote the file: its tEXt, zTXt or iTXt entry `Software`."""

from __future__ import annotations

import zlib

#: A program name longer than this is not one.
MAX_SOFTWARE_BYTES = 128
_KEYWORD = b"Software\x00"


def software_of(kind: bytes, payload: memoryview) -> str:
    """Name in a text chunk, empty if there is none. Reads a bounded part and inflates no more than a name's length."""
    if bytes(payload[: len(_KEYWORD)]) != _KEYWORD:
        return ""
    text = bytes(payload[len(_KEYWORD) : len(_KEYWORD) + 4 * MAX_SOFTWARE_BYTES])
    if kind == b"tEXt":
        return text[:MAX_SOFTWARE_BYTES].decode("latin-1")
    if kind == b"zTXt":
        return _inflated(text[1:]).decode("latin-1")
    if kind != b"iTXt" or len(text) < 2:
        return ""
    is_compressed, languages = text[0] == 1, text[2:].split(b"\x00", 2)
    name = languages[-1] if len(languages) > 2 else b""
    return (_inflated(name) if is_compressed else name[:MAX_SOFTWARE_BYTES]).decode("utf-8", "replace")


def _inflated(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, MAX_SOFTWARE_BYTES)
    except zlib.error:
        return b""
