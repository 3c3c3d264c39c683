"""JSON object of one record, read for the fields that are asked for; all others are passed over, whatever they hold.

Publishers' JSON has odd places: a string cut in the middle of an emoji, NaN, control characters, bytes of another
encoding, a minute of motion samples. None is a reason to answer nobody. Ordinary JSON goes through orjson. What orjson
refuses, or what has more elements than a submission, is walked through: a field that was asked for is decoded,
the rest is skipped without being built. Memory is bounded by the record's size, time by the bytes and by `MAX_TOKENS`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import orjson

#: A submission has a dozen fields. Counting separators before parsing keeps a 15 MB event of empty lists
#: from becoming a gigabyte of Python objects; base64 holds none of these characters.
MAX_SEPARATORS = 2_000

#: Strings and brackets that a walk passes before it gives up, which takes 0.2 s. A minute of motion samples at 200 Hz
#: has 24,000, or 96,000 if each sample is an object.
MAX_TOKENS = 200_000
#: Tokens that a name, or an element of a list that was asked for, counts as.
_BUILT = 10

#: Objects within objects; the deepest field that is asked for is in the fifth.
MAX_DEPTH = 8

#: Every text of a submission but the image is shorter, and the image is ASCII: a longer text of wide characters, of
#: which Python makes four times as many bytes, is not decoded.
MAX_WIDE_TEXT = 64 * 1024

#: Stands for a value that can't be decoded: no field's pattern accepts it.
UNREADABLE = "\ufffd"

#: Kafka serializers with a schema registry write a zero byte and a schema's number of four bytes before the JSON.
_REGISTRY_PREFIX = 5
_MAX_NAME = 256
_MAX_LITERAL = 32

_OPEN_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+'
_STRING = re.compile(_OPEN_STRING + rb'"', re.DOTALL)
_COLON = re.compile(rb"[ \t\r\n]*+:[ \t\r\n]*+")
_BETWEEN = re.compile(rb"[ \t\r\n\x00,]*+")
_LITERAL = re.compile(rb'[^ \t\r\n\x00,:"\[\]{}]++')
_TOKEN = re.compile(_OPEN_STRING + rb'"?|[\[\]{}]', re.DOTALL)


class NoJsonObject(ValueError):
    """Refusal of bytes that hold no JSON object, or several; the message quotes nothing."""


@dataclass(frozen=True, slots=True)
class JsonObject:
    """JSON object as far as it could be read; `fault` says in words what is wrong with the rest, None if nothing is."""

    fields: dict[str, Any]
    fault: str | None = None


def read_object(value: bytes, names: frozenset[str]) -> JsonObject:
    """JSON object with at least the fields of these names, at any depth; of two with one name the last counts.

    Raises NoJsonObject. Any bytes may be given.
    """
    value = _as_utf8(value)
    if sum(value.count(mark) for mark in (b",", b"[", b"{")) <= MAX_SEPARATORS:
        try:
            document = orjson.loads(value)
        except orjson.JSONDecodeError:
            pass
        else:
            if not isinstance(document, dict):
                raise NoJsonObject("the JSON is not an object")
            return JsonObject(document)
    return _walked(value, names)


def _as_utf8(value: bytes) -> bytes:
    if value[:1] == b"\x00" and value[_REGISTRY_PREFIX : _REGISTRY_PREFIX + 1] == b"{":
        value = value[_REGISTRY_PREFIX:]
    encoding = json.detect_encoding(value)
    if encoding == "utf-8":
        return value
    return value.decode(encoding, "replace").encode("utf-8", "replace")


def _walked(value: bytes, names: frozenset[str]) -> JsonObject:
    walk, found = _Walk(value, names), dict[str, Any]()
    start = walk.next()
    if start != b"{":
        raise NoJsonObject(
            "the JSON is not an object" if start in (b"[", b'"') else "the record is neither JSON nor a CloudEvent"
        )
    try:
        walk.object(found, 1)
    except _Stopped as stopped:
        return JsonObject(found, str(stopped))
    after = walk.next()
    if after == b"{":
        raise NoJsonObject("the record holds more than one JSON object")
    return JsonObject(found, "bytes follow the JSON object" if after else None)


_BROKEN = "the JSON is malformed or cut off"


class _Stopped(Exception):
    """End of a walk before the end of the object."""


class _Walk:
    """Walk through the bytes of a JSON object, each byte looked at a bounded number of times."""

    def __init__(self, value: bytes, names: frozenset[str]) -> None:
        self._value = value
        self._names = names
        self._at = 0
        self._tokens = 0

    def next(self) -> bytes:
        """First byte of what comes next; empty at the end."""
        between = _BETWEEN.match(self._value, self._at)
        self._at = between.end() if between else self._at
        return self._value[self._at : self._at + 1]

    def object(self, found: dict[str, Any], depth: int) -> None:
        """Object at the present place; `found` gets its fields as they are read. Raises _Stopped."""
        self._at += 1
        while self.next() != b"}":
            name = self._name()
            if name in self._names:
                self._field(found, name, depth)
            else:
                self._skip()
        self._at += 1

    def _field(self, found: dict[str, Any], name: str, depth: int) -> None:
        start = self.next()
        if start == b'"':
            found[name] = _unescaped(self._string())
        elif start == b"{" and depth < MAX_DEPTH:
            found[name] = inner = dict[str, Any]()
            self.object(inner, depth + 1)
        elif start == b"[" and depth < MAX_DEPTH:
            found[name] = items = list[Any]()
            self._list(items, depth + 1)
        else:
            literal = _LITERAL.match(self._value, self._at)
            found[name] = UNREADABLE if literal is None else _literal(literal[0])
            self._skip()

    def _list(self, items: list[Any], depth: int) -> None:
        self._at += 1
        while (start := self.next()) != b"]":
            self._spend(_BUILT)
            if start == b"{":
                items.append(inner := dict[str, Any]())
                self.object(inner, depth)
            elif start == b"}":
                raise _Stopped(_BROKEN)
            else:
                items.append(UNREADABLE)
                self._skip()
        self._at += 1

    def _name(self) -> str:
        self._spend(_BUILT)
        raw = self._string()
        colon = _COLON.match(self._value, self._at)
        if colon is None:
            raise _Stopped(_BROKEN)
        self._at = colon.end()
        return _unescaped(raw) if len(raw) <= _MAX_NAME else ""

    def _string(self) -> bytes:
        start = self._at + 1
        if self._value[self._at : start] != b'"':
            raise _Stopped(_BROKEN)
        end = self._value.find(b'"', start)
        if end < 0 or self._value.find(b"\\", start, end) >= 0:
            match = _STRING.match(self._value, self._at)
            if match is None:
                raise _Stopped(_BROKEN)
            end = match.end() - 1
        self._at = end + 1
        return self._value[start:end]

    def _skip(self) -> None:
        """Value passed over by counting brackets."""
        literal = _LITERAL.match(self._value, self._at)
        if literal is not None:
            self._at = literal.end()
            return
        start = self._value[self._at : self._at + 1]
        if start in (b",", b"}"):
            return  # a name without a value
        if start not in (b'"', b"[", b"{"):
            raise _Stopped(_BROKEN)
        depth = 0
        for token in _TOKEN.finditer(self._value, self._at):
            self._spend()
            mark = self._value[token.start()]
            depth += (mark in b"[{") - (mark in b"]}")
            if depth <= 0:
                self._at = token.end()
                return
        raise _Stopped(_BROKEN)

    def _spend(self, tokens: int = 1) -> None:
        self._tokens += tokens
        if self._tokens > MAX_TOKENS:
            raise _Stopped("the JSON has more elements than a submission")


def _unescaped(raw: bytes) -> str:
    """Text of a JSON string without its quotes; bytes that are no UTF-8 become U+FFFD."""
    if len(raw) > MAX_WIDE_TEXT and not raw.isascii():
        return UNREADABLE
    text = raw.decode("utf-8", "replace")
    if "\\" not in text:
        return text
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return UNREADABLE


def _literal(raw: bytes) -> Any:
    try:
        return json.loads(raw[:_MAX_LITERAL])
    except ValueError:
        return UNREADABLE
