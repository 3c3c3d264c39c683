"""Image as text: base64 as publishers write it, alone or in a data URL. Pure; work grows with the length alone."""

from __future__ import annotations

import binascii
import re

import pybase64

#: Line breaks and spaces are no part of base64 (MIME wraps at 76, PEM at 64); `-` and `_` are the URL-safe alphabet.
_WHITE_SPACE = b" \t\r\n\v\f"
_STANDARD = bytes.maketrans(b"-_", b"+/")

_DATA_URL = re.compile(r"\s*data:", re.IGNORECASE)
#: `data:image/jpeg;name="a,b";base64,`: any parameters, `base64` the last of them.
_DATA_URL_HEAD = re.compile(r'\s*data:(?:[^,"]|"[^"]*")*;\s*base64\s*,', re.IGNORECASE)
_MAX_HEAD = 1024
#: Characters of base64 that a URL may carry in percent-encoding.
_PERCENT = {"%2B": "+", "%2b": "+", "%2F": "/", "%2f": "/", "%3D": "=", "%3d": "="}


class NotBase64(ValueError):
    """Refusal of a text; the message says what the text is not, and quotes nothing."""


class TooLong(ValueError):
    """Refusal of a text that holds more bytes than are allowed."""


def image_bytes(text: str, max_bytes: int) -> bytes:
    """Bytes of base64 text or of a data URL. Raises NotBase64, or TooLong beyond `max_bytes`, undecoded."""
    if _DATA_URL.match(text):
        text = _behind_head(text)
    try:
        packed = text.encode("ascii").translate(_STANDARD, _WHITE_SPACE)
    except UnicodeEncodeError:
        raise NotBase64("is not valid base64") from None
    if len(packed) // 4 * 3 > max_bytes + 3:
        raise TooLong
    missing = -len(packed) % 4
    try:
        return pybase64.b64decode(packed + b"=" * missing, validate=True)
    except (binascii.Error, ValueError):
        raise NotBase64("is not valid base64") from None


def _behind_head(url: str) -> str:
    head = _DATA_URL_HEAD.match(url[:_MAX_HEAD])
    if head is None:
        raise NotBase64("is a data URL without base64")
    text = url[head.end() :]
    if "%" in text:
        for code, character in _PERCENT.items():
            text = text.replace(code, character)
    return text
