"""The notice of a record: its bytes, five attributes, nothing else."""

from __future__ import annotations

import pytest

from stream.notify.notice import LONGEST_HEADER, NoNotice, notice_of
from tests.unit.stream.notify.builders import BODY, flag_record

CE_HEADERS = ("ce-id", "ce-type", "ce-source", "ce-specversion")


def headers_with(**attributes: bytes):
    base = {"specversion": b"1.0", "type": b"liveness.abuse-flag.v1", "source": b"here", "id": b"f-1"}
    return tuple((f"ce_{name}", value) for name, value in {**base, **attributes}.items())


def test_bytes_and_names_of_the_event():
    notice = notice_of(flag_record())
    assert (notice.event_id, notice.body) == ("flag-1", BODY)
    assert notice.headers == {
        "content-type": "application/json",
        "ce-id": "flag-1",
        "ce-type": "liveness.abuse-flag.v1",
        "ce-source": "liveness-stream",
        "ce-specversion": "1.0",
        "ce-subject": "a%20b",
    }


def test_nothing_else_is_handed_on():
    headers = (*headers_with(correlationid=b"c", clientip=b"203.0.113.7"), ("authorization", b"x"), ("Host", b"y"))
    assert notice_of(flag_record(headers=headers)).headers.keys() == {"content-type", *CE_HEADERS}


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (b"plain/:?#[]@!$&'()*+,;=~", "plain/:?#[]@!$&'()*+,;=~"),
        (b'a "b" 50%', "a%20%22b%22%2050%25"),
        ("Ünï€".encode(), "%C3%9Cn%C3%AF%E2%82%AC"),
        (b"x\r\nauthorization: me", "x%0D%0Aauthorization:%20me"),
        (b"\x00\x7f", "%00%7F"),
        *((unfit, None) for unfit in (b"", b"\xff", b"x" * (LONGEST_HEADER + 1), b" " * LONGEST_HEADER)),
    ],
)
def test_values_are_encoded_or_left_out(value, encoded):
    assert notice_of(flag_record(headers=headers_with(subject=value))).headers.get("ce-subject") == encoded


UNUSABLE_IDS = [b"", b"a b", b"a\n", b"\xff", b"x" * 257, "ü".encode()]
NO_EVENTS = [
    *(({"headers": headers_with(id=event_id)}, "no usable event id") for event_id in UNUSABLE_IDS),
    *(({"headers": headers}, "no usable event id") for headers in ((), (("content-type", b"application/json"),))),
    ({"headers": headers_with() + headers_with()}, "no usable event id"),  # names the event twice
    *(({"value": value}, "no event") for value in (None, b"")),
]


@pytest.mark.parametrize(("changed", "why"), NO_EVENTS)
def test_no_event_no_notice(changed, why):
    with pytest.raises(NoNotice, match=why):
        notice_of(flag_record(**changed))
