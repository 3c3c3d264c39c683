"""Dead letters: bytes unchanged, the reason in headers, and nothing personal among the headers that are kept."""

from __future__ import annotations

import hashlib

import pytest

from stream.events.topics import DEAD_LETTER_HEADROOM
from stream.events.wire.dead_letter import KEPT_HEADER_BYTES, KEPT_HEADERS, WHY_HEADERS, DeadLetters, described
from tests.unit.stream.builders import APPENDED_AT_MS, SECRET, ce_headers, record

PERSONAL = ["clientip", "deviceid", "sessiontoken", "sessionid", "capturedat", "imagesha256", "resourceid", "tenant"]


def set_aside(given_record, max_bytes=15 * 1024 * 1024):
    return DeadLetters(topic="dead", max_bytes=max_bytes).letter(given_record, reason="INVALID_REQUEST", message="why")


def test_oversized_record_by_digest():
    given = record(b"x" * 90, (), b"k" * 300)
    letter = set_aside(given, max_bytes=389)
    assert (letter.key, letter.value) == (b"k" * KEPT_HEADER_BYTES, None)
    assert dict(letter.headers)["value_bytes"] == b"90"
    assert dict(letter.headers)["value_sha256"] == hashlib.sha256(b"x" * 90).hexdigest().encode()
    assert set_aside(given, max_bytes=390).value == b"x" * 90


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
    """And once each, so that the letter stays within the room of its topic."""
    headers = ce_headers(b"image/jpeg", subject="sub-1", id="i" * 1000) * 300
    kept = set_aside(record(b"x", headers)).headers[len(WHY_HEADERS) :]
    assert sorted(name for name, _ in kept) == sorted(dict(headers).keys() & KEPT_HEADERS)
    assert dict(kept)["ce_subject"] == b"sub-1"
    assert dict(kept)["ce_id"] == b"i" * KEPT_HEADER_BYTES
    assert len(KEPT_HEADERS) * 2 * KEPT_HEADER_BYTES < DEAD_LETTER_HEADROOM / 4


def test_no_stranger_writes_our_headers():
    letter = set_aside(record(b"x", (("reason", b"forged"), ("Reason", b"forged"), ("source_offset", b"0"))))
    assert [(name, value) for name, value in letter.headers if name.lower() in ("reason", "source_offset")] == [
        ("reason", b"INVALID_REQUEST"),
        ("source_offset", b"17"),
    ]


def test_described_without_bytes():
    letter = set_aside(record(SECRET.encode(), ce_headers(subject=SECRET)))
    description = described(record(letter.value, letter.headers))
    assert SECRET not in repr(description)
    assert (description["bytes"], description["reason"]) == (len(SECRET), "INVALID_REQUEST")
