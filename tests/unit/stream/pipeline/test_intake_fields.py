"""The limits of every field: what is just accepted, what is just refused, and that the refusal quotes nothing."""

from __future__ import annotations

import orjson
import pytest

from config.error_codes import ErrorCode
from stream.events.messages import Poison, Rejected, Submission
from tests.unit.stream.builders import GUID, SECRET, bare, binary, module, read, record, selfie, structured

LONG_TOKEN = "t" * 4096

GOOD = [
    ("submission_id", "a"),
    ("submission_id", "!" * 128),
    ("submission_id", "~/.:#{}|\"'\\"),
    ("correlation_id", GUID.upper()),
    ("correlation_id", GUID.replace("-", "")),
    ("correlation_id", "0" * 32),
    ("tenant", "a" * 64),
    ("tenant", "Bank_1.eu-west"),
    ("session_id", "s" * 256),
    ("session_token", LONG_TOKEN),
    ("session_token", "with spaces, and ünïcode"),
    ("resource_id", "r" * 256),
    ("client_ip", "203.0.113.9"),
    ("client_ip", "2001:db8::1"),
    ("client_ip", "::ffff:203.0.113.9"),
    ("device_id", "d" * 256),
    ("captured_at", "2026-01-02T03:04"),
    ("captured_at", "2026-01-02T03:04:05"),
    ("captured_at", "2026-01-02T03:04:05Z"),
    ("captured_at", "2026-01-02T03:04:05.123456789+02:00"),
]

WRONG_TYPES = [5, 5.5, True, [], ["x"], {}, {"x": 1}, 2**63, -1, 1e308]
TEXT_FIELDS = [
    "submission_id",
    "correlation_id",
    "tenant",
    "session_id",
    "session_token",
    "resource_id",
    "client_ip",
    "device_id",
    "captured_at",
    "image_sha256",
]

BAD = [
    ("submission_id", ""),
    ("submission_id", " "),
    ("submission_id", "with space"),
    ("submission_id", "x" * 129),
    ("submission_id", "nul\x00"),
    ("submission_id", "line\n"),
    ("submission_id", "ünïcode"),
    ("correlation_id", ""),
    ("correlation_id", "not-a-guid"),
    ("correlation_id", GUID + "0"),
    ("correlation_id", GUID[:-1]),
    ("correlation_id", GUID[:-1] + "g"),
    ("correlation_id", GUID + "\n"),
    ("correlation_id", "0x" + "1" * 30),
    ("correlation_id", "1_2" + "1" * 29),
    ("correlation_id", "+" + "1" * 31),
    ("correlation_id", "{{{{" + "1" * 32),
    ("correlation_id", "٣" * 32),
    ("correlation_id", "-" * 4 + "1" * 32),
    ("correlation_id", GUID[:8] + GUID[9:]),
    ("tenant", ""),
    ("tenant", "a" * 65),
    ("tenant", "a/b"),
    ("tenant", "a\x00b"),
    ("tenant", "bank:1"),
    ("session_id", ""),
    ("session_id", "s" * 257),
    ("session_id", "a b"),
    ("session_token", ""),
    ("session_token", LONG_TOKEN + "t"),
    ("resource_id", ""),
    ("resource_id", "r" * 257),
    ("client_ip", ""),
    ("client_ip", "203.0.113"),
    ("client_ip", "203.0.113.9/24"),
    ("client_ip", "203.0.113.256"),
    ("client_ip", "localhost"),
    ("client_ip", "fe80::1%" + SECRET),
    ("client_ip", "1" * 65),
    ("device_id", ""),
    ("device_id", "d" * 257),
    ("captured_at", "yesterday"),
    ("captured_at", "2026-01-02"),
    ("captured_at", "2026-13-02T03:04:05Z"),
    ("captured_at", "2026-01-02T25:04:05Z"),
    ("captured_at", "2026-01-02T::::::::Z"),
    ("captured_at", "٢٠٢٦-٠١-٠٢T03:04:05Z"),
    ("captured_at", "2026-01-02T03:04:05+99:99"),
    ("image_sha256", ""),
    ("image_sha256", "ab" * 31),
    ("image_sha256", "zz" * 32),
    *[(name, value) for name in TEXT_FIELDS for value in WRONG_TYPES],
]


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_within_its_limits_a_field_is_accepted(name, value):
    assert isinstance(read(bare(**{name: value})), Submission)


@pytest.mark.parametrize(("name", "value"), BAD)
def test_beyond_its_limits_a_field_is_refused_by_name(name, value):
    refused = read(bare(**{name: value}))
    assert isinstance(refused, Poison if name == "submission_id" else Rejected)
    assert refused.message == f"missing or malformed: {name}"
    if isinstance(refused, Rejected):
        assert refused.error is ErrorCode.INVALID_REQUEST
        assert refused.ids.submission_id == "sub-1"
        assert getattr(refused.ids, name, None) is None


def test_all_wrong_fields_are_named_at_once():
    refused = read(bare(tenant=5, device_id="", client_ip=SECRET))
    assert refused.message == "missing or malformed: client_ip, device_id, tenant"


def test_sound_ids_survive_an_unsound_neighbour():
    refused = read(bare(tenant="a b", session_id="session-1", resource_id="r\x00"))
    assert isinstance(refused, Rejected)
    assert refused.ids.correlation_id == GUID
    assert refused.ids.session_id == "session-1"
    assert refused.ids.tenant is None
    assert refused.ids.resource_id is None


@pytest.mark.parametrize("attribute", ["correlationid", "tenant", "sessionid", "clientip", "deviceid", "capturedat"])
def test_headers_have_the_same_limits(attribute):
    refused = read(binary(**{attribute: f"{SECRET} \x7f"}))
    assert isinstance(refused, Rejected)
    assert refused.error is ErrorCode.INVALID_REQUEST
    assert SECRET not in refused.message


@pytest.mark.parametrize("value", WRONG_TYPES)
def test_extensions_of_a_structured_event_have_the_same_limits(value):
    refused = read(structured(selfie(), tenant=value))
    if value:  # an empty or false extension is an absent one
        assert isinstance(refused, Rejected)
        assert refused.message == "missing or malformed: tenant"


def test_without_a_person_there_is_an_answer_but_no_analysis():
    refused = read(bare(correlation_id=...))
    assert isinstance(refused, Rejected)
    assert refused.message == "missing or malformed: correlation_id"
    assert refused.ids.correlation_id is None


@pytest.mark.parametrize("key", [b"", b"\xff\xfe", b"user-1", b"x" * 10_000, GUID.encode() + b"\x00", b"\x00"])
def test_a_record_key_that_is_no_guid_helps_nobody(key):
    given = bare(correlation_id=...)
    assert isinstance(read(record(given.value, (), key)), Rejected)


def test_a_wrong_correlation_id_is_not_mended_by_the_key():
    given = bare(correlation_id="wrong")
    assert isinstance(read(record(given.value, (), GUID.encode())), Rejected)


@pytest.mark.parametrize("resource", ["", 5, None, [], "a b", "x" * 129, True])
def test_the_module_resource_is_a_submission_id(resource):
    assert isinstance(read(module(resource)), Poison)


@pytest.mark.parametrize("raw", [b'{"submission_id": "a", "submission_id": 5}', b'{"submission_id": NaN}'])
def test_doubled_keys_and_numbers_that_are_none_name_nobody(raw):
    assert isinstance(read(record(raw)), Poison)


def test_a_lone_surrogate_is_no_text():
    raw = orjson.dumps(selfie()).replace(b"sub-1", b"\\ud800")
    assert isinstance(read(record(raw)), Poison)


def test_personal_fields_stay_out_of_repr():
    submission = read(
        bare(client_ip="203.0.113.9", device_id=SECRET, session_token=SECRET, captured_at="2026-01-02T03:04")
    )
    shown = repr(submission)
    for private in ("203.0.113.9", SECRET, "2026-01-02", "\\xff\\xd8"):
        assert private not in shown
