"""Limits of every field: values just accepted, values just rejected, and no rejection quotes a value."""

from __future__ import annotations

import orjson
import pytest

from stream.events.message.messages import Poison, Submission
from tests.unit.stream.builders import GUID, SECRET, bare, binary, module, read, record, rejected, selfie, structured

DATE = "2026-01-02"
GOOD = {
    "submission_id": ("a", "!" * 128, "~/.:#{}|\"'\\"),
    "correlation_id": (GUID.upper(), GUID.replace("-", ""), "0" * 31 + "1"),
    "tenant": ("a" * 64, "Bank_1.eu-west"),
    "session_id": ("s" * 256,),
    "resource_id": ("r" * 256,),
    "client_ip": ("203.0.113.9", "2001:db8::1", "::ffff:203.0.113.9"),
    "device_id": ("d" * 256,),
    "captured_at": (f"{DATE}T03:04", f"{DATE}T03:04:05", f"{DATE}T03:04:05Z", f"{DATE}T03:04:05.123456789+02:00"),
}
#: No GUID, though `uuid.UUID` accepts some of these.
NO_GUID = (
    *("", "not-a-guid", GUID + "0", GUID[:-1], GUID[:-1] + "g", GUID + "\n", "0x" + "1" * 30, "1_2" + "1" * 29),
    *("+" + "1" * 31, "{{{{" + "1" * 32, "٣" * 32, "-" * 4 + "1" * 32, GUID[:8] + GUID[9:]),
)
BAD = {
    "submission_id": ("", " ", "with space", "x" * 129, "nul\x00", "line\n", "ünïcode"),
    "correlation_id": NO_GUID,
    "tenant": ("a" * 65, "a/b", "a\x00b", "bank:1"),
    "session_id": ("s" * 257, "a b"),
    "resource_id": ("r" * 257,),
    "client_ip": ("203.0.113", "203.0.113.9/24", "203.0.113.256", "localhost", "fe80::1%" + SECRET, "1" * 65),
    "device_id": ("d" * 257,),
    "captured_at": (
        *("yesterday", DATE, "2026-13-02T03:04:05Z", f"{DATE}T25:04:05Z", f"{DATE}T::::::::Z"),
        *("٢٠٢٦-٠١-٠٢T03:04:05Z", f"{DATE}T03:04:05+99:99"),
    ),
    "image_sha256": ("ab" * 31, "zz" * 32),
}
WRONG_TYPES = [5, 5.5, True, [], ["x"], {}, {"x": 1}, 2**63, -1, 1e308]


def rows(table):
    return [(name, value) for name, values in table.items() for value in values]


@pytest.mark.parametrize(("name", "value"), rows(GOOD))
def test_field_within_limits(name, value):
    assert isinstance(read(bare(**{name: value})), Submission)


@pytest.mark.parametrize("name", BAD)
def test_field_beyond_limits(name):
    message = f"missing or malformed: {name}"
    for value in (*BAD[name], *WRONG_TYPES):
        if name == "submission_id":
            answer = read(bare(**{name: value}))
            assert (type(answer), answer.message) == (Poison, message), value
        else:
            ids = rejected(bare(**{name: value}), message=message).ids
            assert (ids.submission_id, getattr(ids, name, None)) == ("sub-1", None), value


def test_all_wrong_fields_named():
    rejected(
        bare(tenant=5, device_id="a b", client_ip=SECRET), message="missing or malformed: client_ip, device_id, tenant"
    )


def test_valid_ids_kept_beside_invalid():
    ids = rejected(bare(tenant="a b", session_id="session-1", resource_id="r\x00")).ids
    assert (ids.correlation_id, ids.session_id, ids.tenant, ids.resource_id) == (GUID, "session-1", None, None)


@pytest.mark.parametrize("attribute", ["correlationid", "tenant", "sessionid", "clientip", "deviceid", "capturedat"])
def test_headers_have_same_limits(attribute):
    rejected(binary(**{attribute: f"{SECRET} \x7f"}))


@pytest.mark.parametrize("value", WRONG_TYPES)
def test_extensions_have_same_limits(value):
    """An empty or false extension counts as absent."""
    given = structured(selfie(), tenant=value)
    if value:
        rejected(given, message="missing or malformed: tenant")
    else:
        assert isinstance(read(given), Submission)


@pytest.mark.parametrize("key", [None, b"", b"\xff\xfe", b"user-1", b"x" * 4_000, GUID.encode() + b"\x00", b"\x00"])
def test_no_correlation_id_from_bad_key(key):
    answer = rejected(record(bare(correlation_id=...).value, (), key), message="missing or malformed: correlation_id")
    assert answer.ids.correlation_id is None
    rejected(record(bare(correlation_id="wrong").value, (), GUID.encode()))  # nor does a good key mend a wrong one


NAMES_NOBODY = [
    *(module(resource) for resource in ("", 5, None, [], "a b", "x" * 129, True)),
    record(b'{"submission_id": "a", "submission_id": 5}'),
    record(b'{"submission_id": NaN}'),
    record(orjson.dumps(selfie()).replace(b"sub-1", b"\\ud800")),  # a lone surrogate
]


@pytest.mark.parametrize("given", NAMES_NOBODY)
def test_no_submission_id_is_poison(given):
    assert isinstance(read(given), Poison)


def test_personal_fields_not_in_repr():
    private = {"client_ip": "203.0.113.9", "device_id": SECRET, "captured_at": f"{DATE}T03:04"}
    shown = repr(read(bare(**private)))
    assert [each for each in (*private.values(), "\\xff\\xd8") if each in shown] == []
