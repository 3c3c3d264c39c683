"""Odd JSON around a sound submission: a field of others stops nothing, and ids that can be found get an answer."""

from __future__ import annotations

import json
import time

import pytest

from stream.events.message.messages import Poison, Submission
from stream.events.wire import json_object
from tests.unit.stream.builders import (
    GUID,
    IMAGE,
    JSON_TYPE,
    STRUCTURED_TYPE,
    bare,
    base64_of,
    ce_headers,
    event_attributes,
    read,
    record,
    rejected,
    selfie,
)

TEXT = json.dumps(selfie())
#: 700 samples of a motion sensor.
MOTION = [[0.1, 0.2, 0.3]] * 700
SAMPLES = [{"t": 1, "x": 0.1, "y": 0.2, "z": 0.3}] * 12_000

#: Members of a JSON object, as they stand in the bytes, that are no fields of ours.
NOT_OURS = {
    "half an emoji": b'"name": "Anna\\ud83d"',
    "half an emoji in a name": b'"\\udfff": 1',
    "NaN": b'"blur": NaN',
    "infinities": b'"a": [Infinity, -Infinity, {"b": 1e400}]',
    "a huge integer": b'"a": ' + b"9" * 5_000,
    "control characters": b'"note": "a\x00b\tc\nd\x1b"',
    "another encoding": b'"name": "Jos\xe9"',
    "an escape of another language": b'"path": "C:\\Users\\x41"',
    "a word of another language": b'"a": None, "b": undefined, "c": .5',
    "motion": b'"motion": ' + json.dumps(MOTION).encode(),
    "a minute at 200 Hz": b'"motion": ' + json.dumps(SAMPLES).encode(),
    "numbers without end": b'"motion": [' + b"0.1," * 500_000 + b"0]",
    "deep": b'"a": ' + b"[" * 5_000 + b"]" * 5_000,
    "brackets in a text": b'"a": ["]}{[", "\\"]", NaN]',
    "our names further in": b'"last": {"submission_id": "other", "image": NaN}',
    "no value": b'"a": ',
    "a comma too many": b'"a": 1,',
}


def places(member: bytes) -> list[bytes]:
    """The member before and behind all fields of ours."""
    own = TEXT.encode()[1:-1]
    return [b"{" + member + b", " + own + b"}", b"{" + own + b", " + member + b"}"]


@pytest.mark.parametrize("member", NOT_OURS.values(), ids=NOT_OURS)
def test_field_of_others(member):
    wanted = read(bare())
    event = json.dumps(event_attributes()).encode()[:-1]
    for value in places(member):
        assert read(record(value)) == wanted
        assert read(record(value, (*ce_headers(None), JSON_TYPE))) == wanted
        assert read(record(event + b', "data": ' + value + b"}", (STRUCTURED_TYPE,))) == wanted


WRITTEN = {
    **{name: TEXT.encode(name) for name in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")},
    **{name: TEXT.encode(name) for name in ("utf-32", "utf-32-le", "utf-32-be")},
    "schema registry": b"\x00\x00\x00\x01\x07" + TEXT.encode(),
    "NUL behind": TEXT.encode() + b"\x00",
    "escaped slashes": TEXT.replace("/", "\\/").encode(),
    "escaped names": TEXT.replace("submission_id", "submission\\u005fid").encode(),
    "an id twice": TEXT.replace("{", '{"submission_id": "first", ', 1).encode(),
    "an id twice beside NaN": TEXT.replace("{", '{"a": NaN, "submission_id": "first", ', 1).encode(),
}


@pytest.mark.parametrize("value", WRITTEN.values(), ids=WRITTEN)
def test_spelling_of_whole(value):
    assert read(record(value)) == read(bare())


BROKEN = {
    "cut off in the image": TEXT[:-9],
    "cut off in a field of others": TEXT[:-1] + ', "a": [{"b": "',
    "one quote too many": TEXT[:-1] + ', "a": "b"c", "d": 1}',
    "an open list": TEXT[:-1] + ', "biometrics": [}',
    "words behind": TEXT + " and more",
    "elements without end": TEXT[:-1] + ', "a": [' + "[]," * json_object.MAX_TOKENS + "[]]}",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_broken_but_named(text):
    ids = rejected(record(text.encode())).ids
    assert (ids.submission_id, ids.correlation_id) == ("sub-1", GUID)


def test_odd_value_of_ours_refused_by_name():
    for odd in ("NaN", "1e400", '"\\ud83d"', '"a\x00"', "9" * 5_000, '"\\x"', "[1]", "{"):
        text = TEXT[:-1] + f', "device_id": {odd}'
        closed = text + ("}}" if odd == "{" else "}")
        rejected(record(closed.encode()), message="missing or malformed: device_id")


def test_two_objects_name_nobody():
    assert read(record(TEXT.encode() * 2)) == Poison(
        reason="INVALID_REQUEST", message="the record holds more than one JSON object"
    )


@pytest.mark.parametrize("blank", [None, "", "  "])
def test_blank_optional_field_is_absent(blank):
    names = ("tenant", "session_id", "client_ip", "device_id", "captured_at", "image_sha256", "session_token")
    assert read(bare(**dict.fromkeys(names, blank))) == read(bare())
    keyed = record(bare(correlation_id=blank).value, (), GUID.encode())
    assert isinstance(read(keyed), Submission)


ODD = b'{"submission_id": "sub-1", "x": NaN, '
HOSTILE = {
    "empty lists": ODD + b'"a": [' + b"[]," * 5_000_000,
    "names": ODD + b'"a":1,' * 2_500_000,
    "biometrics": ODD + b'"biometrics": [' + b"{}," * 5_000_000,
    "escaped quotes": ODD + b'"a": ["' + b'\\"' * 7_500_000,
    "open names": ODD + b'"a' * 5_000_000,
    "depth": b'{"context":' * 1_300_000,
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bytes_bounded(value):
    """15 MB each; measured at 0.3 s at most. Work that grows with the square would take hours."""
    started = time.process_time()
    assert not isinstance(read(record(value)), Submission)
    assert time.process_time() - started < 5


def test_image_of_walked_object_unchanged():
    value = ODD + b'"correlation_id": "%s", "image": "%s"}' % (GUID.encode(), base64_of(IMAGE * 20_000).encode())
    answer = read(record(value))
    assert isinstance(answer, Submission)
    assert answer.frames[0].image == IMAGE * 20_000
