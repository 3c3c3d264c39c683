"""Protobuf's wire format, as far as ONNX files need it: numbers and lengths of bytes, written and read.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_VARINT, _BYTES = 0, 2

#: A message, or a part of one: a view, where copies of a whole network would be too much.
Bytes = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Field:
    """Field of a message: its number, its content where that is bytes (else empty), the whole as it stands, and its
    value where that is a varint (else 0)."""

    number: int
    content: Bytes
    whole: Bytes
    value: int = 0


def int_field(number: int, value: int) -> bytes:
    return _key(number, _VARINT) + _varint(value)


def text_field(number: int, value: str) -> bytes:
    return bytes_field(number, value.encode())


def bytes_field(number: int, value: Bytes) -> bytes:
    return bytes_head(number, len(value)) + value


def bytes_head(number: int, length: int) -> bytes:
    """Head of a field of bytes: key and length."""
    return _key(number, _BYTES) + _varint(length)


def fields(message: Bytes) -> Iterator[Field]:
    """Fields of a message, in order; of a view, views. Raises ValueError for bytes that are no message."""
    at = 0
    while at < len(message):
        start = at
        key, at = _read_varint(message, at)
        content: Bytes = b""
        value = 0
        match key & 7:
            case 0:
                value, at = _read_varint(message, at)
            case 1:
                at += 8
            case 5:
                at += 4
            case 2:
                length, at = _read_varint(message, at)
                content = message[at : at + length]
                at += length
            case wire:
                raise ValueError(f"no field has the wire type {wire}")
        if at > len(message):
            raise ValueError("a field ends behind the message")
        yield Field(key >> 3, content, message[start:at], value)


def numbers(field: Field) -> list[int]:
    """Numbers of a repeated field, packed or one by one. Raises ValueError."""
    if not field.content:
        return [field.value]
    found, at = [], 0
    while at < len(field.content):
        number, at = _read_varint(field.content, at)
        found.append(number)
    return found


def _key(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _varint(value: int) -> bytes:
    pieces = bytearray()  # raises ValueError for a negative number
    while value > 0x7F:
        pieces.append(value & 0x7F | 0x80)
        value >>= 7
    pieces.append(value)
    return bytes(pieces)


def _read_varint(message: Bytes, at: int) -> tuple[int, int]:
    """The number that begins at a place, and the place behind."""
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError("a number does not end")
        value |= (message[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if message[at - 1] < 0x80:
            return value, at
