"""Dead letters: bytes unchanged, the reason in headers, and nothing personal among the headers that are kept."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.events.dead_letter import KEPT_HEADER_BYTES, KEPT_HEADERS, WHY_HEADERS, dead_letter, described
from stream.events.messages import Record
from stream.events.topics import DEAD_LETTER_HEADROOM
from tests.unit.stream.builders import APPENDED_AT_MS, SECRET, ce_headers, record

PERSONAL = ["clientip", "deviceid", "sessiontoken", "sessionid", "capturedat", "imagesha256", "resourceid", "tenant"]


def set_aside(given_record, max_bytes=15 * 1024 * 1024):
    return dead_letter(given_record, "dead", reason="INVALID_REQUEST", message="why", max_bytes=max_bytes)


def test_oversized_record_by_digest():
    letter = set_aside(record(b"x" * 90, (), b"k" * 300), max_bytes=389)
    assert (letter.key, letter.value) == (b"k" * KEPT_HEADER_BYTES, None)
    assert dict(letter.headers)["value_bytes"] == b"90"
    assert dict(letter.headers)["value_sha256"] == hashlib.sha256(b"x" * 90).hexdigest().encode()
    assert set_aside(record(b"x" * 90, (), b"k" * 300), max_bytes=390).value == b"x" * 90


@pytest.mark.parametrize("value", [None, b"", b"\x00\xff", b"x" * 1000])
@pytest.mark.parametrize("key", [None, b"", b"\xff"])
def test_key_and_bytes_are_unchanged(value, key):
    letter = set_aside(record(value, (), key))
    sent = b"" if key is None and value is None else value  # a client refuses a record without both
    assert (letter.topic, letter.key, letter.value) == ("dead", key, sent)


def test_headers_tell_reason_and_place():
    assert set_aside(record(b"x")).headers == (
        ("reason", b"INVALID_REQUEST"),
        ("message", b"why"),
        ("source_topic", b"liveness.submissions"),
        ("source_partition", b"3"),
        ("source_offset", b"17"),
        ("source_timestamp_ms", str(APPENDED_AT_MS).encode()),
    )


@pytest.mark.parametrize("name", PERSONAL)
@pytest.mark.parametrize("spelled", [str.lower, str.upper, str.title])
def test_no_personal_header_is_kept(name, spelled):
    headers = ((spelled(f"ce_{name}"), SECRET.encode()), (name, SECRET.encode()), ("authorization", SECRET.encode()))
    assert SECRET not in repr(set_aside(record(b"x", headers)).headers)


def test_event_headers_are_kept_short():
    headers = ce_headers(b"image/jpeg", subject="sub-1", id="i" * 1000)
    kept = dict(set_aside(record(b"x", headers)).headers[len(WHY_HEADERS) :])
    assert kept.keys() <= KEPT_HEADERS
    assert kept["ce_subject"] == b"sub-1"
    assert kept["ce_id"] == b"i" * KEPT_HEADER_BYTES


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from([*KEPT_HEADERS, *WHY_HEADERS, "ce_deviceid", "x"]), st.binary(max_size=600))))
def test_letter_stays_small(headers):
    letter = set_aside(record(b"x", tuple(headers)))

    def size(pairs):
        return sum(len(name) + len(value) for name, value in pairs)

    assert size(letter.headers) <= size(headers) + DEAD_LETTER_HEADROOM / 4
    assert dict(letter.headers)["reason"] == b"INVALID_REQUEST"


def test_no_stranger_writes_our_headers():
    letter = set_aside(record(b"x", (("reason", b"forged"), ("Reason", b"forged"), ("source_offset", b"0"))))
    assert [value for name, value in letter.headers if name.lower() == "reason"] == [b"INVALID_REQUEST"]
    assert [value for name, value in letter.headers if name == "source_offset"] == [b"17"]


def test_described_without_bytes():
    letter = set_aside(record(SECRET.encode(), ce_headers(subject=SECRET)))
    stored = Record(
        topic="dead", partition=0, offset=0, key=None, value=letter.value, headers=letter.headers, appended_at_ms=0
    )
    description = described(stored)
    assert SECRET not in repr(description)
    assert description["bytes"] == len(SECRET)
    assert description["reason"] == "INVALID_REQUEST"
