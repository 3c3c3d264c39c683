"""Records from the Kafka clients' messages: null headers and missing times are no surprise further in."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from stream.events.message.messages import Poison, Record
from stream.kafka.agents import agents
from stream.kafka.clients.records import record_of
from tests.unit.stream.builders import read

HEADERS = [("ce_id", None), ("ce_type", b"x"), ("ce_type", b"x"), ("content-type", None)]


def message(headers, timestamp, timestamp_type=1):
    place = {"topic": "t", "partition": 1, "offset": 2, "key": None, "value": None}
    return SimpleNamespace(**place, headers=headers, timestamp=timestamp, timestamp_type=timestamp_type)


def from_faust(headers=HEADERS, timestamp: float | None = 1_700_000_000.123) -> Record:
    return agents._record(SimpleNamespace(message=message(headers, timestamp)))


def from_reader(headers=HEADERS) -> Record:
    return record_of(message(headers, 1_700_000_000_123), timestamp_ms=1_700_000_000_123)


@pytest.mark.parametrize("made", [from_faust, from_reader])
def test_null_header_becomes_empty(made):
    record = made()
    assert record.headers == (("ce_id", b""), ("ce_type", b"x"), ("ce_type", b"x"), ("content-type", b""))
    assert isinstance(read(record), Poison)
    assert [made(headers).headers for headers in (None, (), [])] == [()] * 3


@pytest.mark.parametrize(("kind", "by_broker"), [(1, True), (0, False), (None, False)])
def test_whose_time(kind, by_broker):
    """LogAppendTime is the broker's; CreateTime the sender's; records of the oldest format have none."""
    given = message(HEADERS, 1_700_000_000, kind)
    made = record_of(given, timestamp_ms=1), agents._record(SimpleNamespace(message=given))
    assert [record.dated_by_broker for record in made] == [by_broker] * 2


def test_milliseconds_survive_as_seconds():
    times = [1_700_000_000_000 + step for step in range(1000)]
    assert [from_faust(timestamp=at / 1000).appended_at_ms for at in times] == times
    assert {from_faust(timestamp=missing).appended_at_ms for missing in (None, 0, -0.001, -1)} == {0}
