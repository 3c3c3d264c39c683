"""Types of the contract's fields, with the bounds that hold when a field is read from bytes (`analysis_codec`)."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated, TypeVar

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, StringConstraints

from config.strict_json import broken

MAX_ITEMS = 64
MAX_CODE = 80
MAX_TEXT = 1000
#: Numbers of a template; those of known networks have 128 to 512.
MAX_DIMENSION = 1024
#: A day in milliseconds: no step or CPU time is longer.
MAX_MS = 86_400_000.0

_CODE = r"[A-Za-z0-9][A-Za-z0-9_.:-]*"


def unpacked(text: object, each: int, most: int) -> bytes:
    """Items of `each` bytes in base64, at most so many, in the one spelling they have."""
    if not isinstance(text, str) or len(text) > (most * each + 2) // 3 * 4 or not text.isascii():
        raise broken(f"not base64 of at most {most} items")
    try:
        packed = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise broken("not base64") from None
    if len(packed) % each or len(packed) > most * each or base64.b64encode(packed).decode("ascii") != text:
        raise broken("not whole items in base64")
    return packed


def _vector(text: object) -> bytes:
    """Little-endian float32, at least one and all finite."""
    vector = unpacked(text, 4, MAX_DIMENSION)
    if not vector:
        raise broken("no numbers")
    if not np.isfinite(np.frombuffer(vector, "<f4")).all():
        raise broken("a number is not finite")
    return vector


def _local_time(text: str) -> str:
    try:
        exact = not text or datetime.fromisoformat(text).isoformat() == text
    except ValueError:
        exact = False
    if not exact or "+" in text:
        raise broken("not a local time to the second")
    return text


T = TypeVar("T")
Items = Annotated[tuple[T, ...], Field(max_length=MAX_ITEMS)]
#: A name in letters, digits and a few signs.
Code = Annotated[str, StringConstraints(max_length=MAX_CODE, pattern=f"^{_CODE}$")]
OptionalCode = Annotated[str, StringConstraints(max_length=MAX_CODE, pattern=f"^({_CODE})?$")]
#: Words without control characters or line ends of any kind.
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT, pattern="^[^\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]*$")]
#: Time of a camera, without a zone, or nothing.
LocalTime = Annotated[str, AfterValidator(_local_time), StringConstraints(max_length=19)]
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[float, Field(ge=0, le=MAX_MS)]
AS_BASE64 = PlainSerializer(lambda packed: base64.b64encode(packed).decode("ascii"), return_type=str, when_used="json")
Vector = Annotated[bytes, BeforeValidator(_vector), AS_BASE64]
