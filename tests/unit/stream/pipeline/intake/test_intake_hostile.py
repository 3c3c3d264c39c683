"""Arbitrary and mutated records: intake never raises, never takes much memory, never lets an invalid id through."""

from __future__ import annotations

import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.catalogues.error_codes import ErrorCode
from stream.events.message.messages import Poison, Submission
from stream.pipeline.intake import intake
from tests.unit.stream.builders import IMAGE, bare, base64_of, binary, module, read, record, selfie, structured

ROOT = Path(__file__).resolve().parents[4]
REASONS = {
    *(ErrorCode.INVALID_REQUEST, ErrorCode.UNSUPPORTED_FORMAT),
    *(ErrorCode.IMAGE_TOO_LARGE, ErrorCode.DECRYPTION_FAILED),
}
SHAPES = {
    "submission_id": r"[!-~]{1,128}",
    "tenant": r"[A-Za-z0-9._-]{1,64}",
    "session_id": r"[!-~]{1,256}",
    "resource_id": r"[!-~]{1,256}",
}

VALID = [bare(), structured(selfie()), binary(), module()]
VALUES = [given.value or b"" for given in VALID]
SOUND_HEADERS = [header for given in VALID for header in given.headers]
NAMES = ["content-type", *("ce_" + name for name in ("id", "type", "subject", "specversion", "source", "tenant"))]

bytes_of_values = st.binary(max_size=300) | st.sampled_from(VALUES)
any_header = st.tuples(st.sampled_from(NAMES) | st.text(max_size=10), st.binary(max_size=40))
header = any_header | st.sampled_from(SOUND_HEADERS)
integers = st.integers(-(2**63) + 1, 2**63 - 1)
json_values = st.recursive(
    st.none() | st.booleans() | integers | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def check(given_record):
    """The contract of `read`, for any record at all."""
    answer = read(given_record)
    if isinstance(answer, Poison):
        assert answer.reason in REASONS
        return answer
    for name, shape in SHAPES.items():
        value = getattr(answer.ids, name)
        assert value is None or re.fullmatch(shape, value, re.ASCII)
    assert answer.ids.submission_id
    correlation_id = answer.ids.correlation_id
    assert correlation_id is None or correlation_id == str(uuid.UUID(correlation_id))
    assert re.fullmatch(r"[0-9a-f]{32}", answer.fingerprint)
    if isinstance(answer, Submission):
        assert correlation_id is not None
        assert intake.check_image(answer.frames[0].image, intake.ImageLimits()) is None
    else:
        assert answer.error in REASONS
    assert answer == read(given_record)  # the same record again is the same answer
    return answer


@given(value=st.none() | bytes_of_values, headers=st.lists(header, max_size=8), key=st.none() | st.binary(max_size=80))
def test_any_record(value, headers, key):
    check(record(value, tuple(headers), key))


@given(st.sampled_from(VALID), st.integers(0, 2_000), st.integers(0, 20), st.binary(max_size=6))
def test_mutated_event(which, at, cut, instead):
    value = which.value or b""
    at %= len(value) + 1
    check(record(value[:at] + instead + value[at + cut :], which.headers, which.key))


FIELDS = [*selfie(), "tenant", "client_ip", "captured_at", "resourceId", "context"]
ATTRIBUTES = ["specversion", "type", "id", "source", "subject", "data"]


@given(st.sampled_from(FIELDS), json_values)
def test_any_json_in_field(name, value):
    check(bare(**{name: value}))
    check(structured(selfie(**{name: value}), subject="sub-9"))


@given(st.dictionaries(st.sampled_from(ATTRIBUTES), json_values))
def test_any_json_in_attribute(attributes):
    data = attributes.pop("data", ...)
    check(structured(data, **attributes))


@given(image=st.text(max_size=60) | st.binary(max_size=60).map(base64_of))
def test_any_text_for_image(image):
    check(bare(image=image))


@given(st.binary(min_size=1, max_size=200))
def test_any_picture_unchanged(noise):
    for wrapped in (binary(IMAGE[:4] + noise), bare(image=base64_of(IMAGE[:4] + noise))):
        answer = check(wrapped)
        assert isinstance(answer, Submission)
        assert answer.frames[0].image == IMAGE[:4] + noise


def filled(start: bytes, piece: bytes, end: bytes) -> bytes:
    return start + piece * ((15 * 1024 * 1024 - len(start) - len(end)) // len(piece)) + end


#: Beginning, what is repeated, end: fifteen megabytes each once they are made.
BOMBS = {
    "empty lists": (b"[", b"[],", b"[]]"),
    "empty objects": (b"[", b"{},", b"{}]"),
    "zeros": (b"[", b"0,", b"0]"),
    "nulls in a field": (b'{"submission_id":"sub-1","a":[', b"null,", b"null]}"),
    "short keys": (b"{", b'"a":1,', b'"a":1}'),
    "deep lists": (b"", b"[", b""),
    "deep objects": (b"", b'{"a":', b""),
    "one escaped text": (b'{"submission_id":"sub-1","image":"', b"\\u0041", b'"}'),
    "wide characters": ('{"submission_id":"sub-1","image":"😀'.encode(), b"A", b'"}'),
    "one long key": (b'{"', b"a", b'":1}'),
    "one long number": (b'{"submission_id":"sub-1","image":1', b"0", b"}"),
    "white space": (b"{", b" ", b"}"),
    "one string of base64": (b'{"submission_id":"sub-1","image":"', b"AAAA", b'"}'),
    "noise": (b"", b"\xff\xfe\xfd", b""),
}


def resident_mib(field: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def report_bombs() -> None:
    """In a child process: by how much each event raised the peak of resident memory."""
    read(record(b"{}"))
    for name, parts in BOMBS.items():
        bomb = filled(*parts)
        Path("/proc/self/clear_refs").write_text("5")  # begin a new peak
        before = resident_mib("VmRSS")
        answer = read(record(bomb))
        print(name, type(answer).__name__, resident_mib("VmHWM") - before, sep="\t")


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads Linux's account of memory")
def test_memory_of_full_size_events():
    """Measured: 15 MiB as a rule; with one wide character Python keeps four bytes for each, 75 MiB.

    Resident memory and not tracemalloc: the parser reserves twelve times the input and touches little of it.
    """
    code = f"from {__name__} import report_bombs; report_bombs()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == list(BOMBS)
    assert {row[1] for row in rows} <= {"Poison", "Rejected"}
    assert {row[0]: row[2] for row in rows if float(row[2]) > 6 * 15} == {}
