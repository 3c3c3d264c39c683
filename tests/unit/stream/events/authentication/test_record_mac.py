"""MACs of internal records: a record that any byte was changed of, or that stands elsewhere, is not believed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from abuse.keys.key_periods import HashKey
from stream.events.authentication.record_mac import HEADER, INTERNAL, MacFault, RecordMacs
from stream.events.message.messages import Output, Record
from stream.events.topics import Topic
from stream.events.wire.cloud_events import EventType, binary_headers

OLD, NEW = HashKey(id="k1", secret=b"a" * 32), HashKey(id="k2", secret=b"b" * 32, since_ms=1000)
NAMED = binary_headers(EventType.DETECTION, event_id="e-1", source="s")
DETECTION = Output(topic="p.liveness.detections", key=b"who", value=b"{}", headers=NAMED)


def macs(*keys: HashKey, now_ms: int = 500, prefix: str = "p.", until_ms: int = 0) -> RecordMacs:
    return RecordMacs(keys, {f"{prefix}{topic}": topic for topic in Topic}, lambda: now_ms, until_ms)


def read(output: Output, **changed: Any) -> Record:
    place = {"topic": output.topic, "partition": 0, "offset": 7, "appended_at_ms": 100}
    return Record(**{**place, "key": output.key, "value": output.value, "headers": output.headers, **changed})


SIGNED = macs(OLD).signed(DETECTION)
MAC = SIGNED.headers[-1]
#: What happens to a signed record on its way, and what is wrong with it then.
ON_THE_WAY: dict[str, tuple[dict[str, Any], MacFault | None]] = {
    "nothing": ({}, None),
    "a tracing header": ({"headers": (*SIGNED.headers, ("traceparent", b"00"))}, None),
    "another partition": ({"partition": 3, "offset": 0, "appended_at_ms": 0}, None),
    "another value": ({"value": b"[]"}, MacFault.WRONG),
    "no value": ({"value": None}, MacFault.WRONG),
    "another key": ({"key": b"whom"}, MacFault.WRONG),
    "no key": ({"key": None}, MacFault.WRONG),
    "a byte moved": ({"key": b"wh", "value": b"o{}"}, MacFault.WRONG),
    "another topic": ({"topic": "p.liveness.decisions"}, MacFault.WRONG),
    "another event id": ({"headers": (("ce_id", b"e-2"), *SIGNED.headers)}, MacFault.WRONG),
    "another content type": ({"headers": (("Content-Type", b"application/x"), *SIGNED.headers)}, MacFault.WRONG),
    "no MAC": ({"headers": DETECTION.headers}, MacFault.MISSING),
    "two MACs": ({"headers": (*SIGNED.headers, MAC)}, MacFault.MALFORMED),
    "an empty MAC": ({"headers": (*DETECTION.headers, (HEADER, b""))}, MacFault.MALFORMED),
    "a MAC with more behind": ({"headers": (*DETECTION.headers, (HEADER, MAC[1] + b"\n"))}, MacFault.MALFORMED),
    "a foreign key": ({"headers": (*DETECTION.headers, (HEADER, b"1:k9:" + b"0" * 64))}, MacFault.UNKNOWN_KEY),
    "a guess": ({"headers": (*DETECTION.headers, (HEADER, b"1:k1:" + b"0" * 64))}, MacFault.WRONG),
}


@pytest.mark.parametrize(("changed", "fault"), ON_THE_WAY.values(), ids=ON_THE_WAY)
def test_believed_or_not(changed: dict[str, Any], fault: MacFault | None) -> None:
    assert macs(OLD).fault(read(SIGNED, **changed)) == fault


@pytest.mark.parametrize("topic", Topic)
def test_internal_topics_alone(topic: Topic) -> None:
    output = replace(DETECTION, topic=f"p.{topic}")
    signed = macs(OLD).signed(output)
    assert (signed != output) == (topic in INTERNAL) == (macs(OLD).fault(read(output)) is not None)
    assert macs(OLD).fault(read(signed)) is None


def test_same_record_has_same_bytes() -> None:
    assert macs(OLD).signed(DETECTION) == SIGNED


def test_rotation() -> None:
    """A key that comes into force is known before, and the former one believed after."""
    before, after = macs(OLD, NEW, now_ms=999), macs(OLD, NEW, now_ms=1000)
    first, second = before.signed(DETECTION), after.signed(DETECTION)
    assert (first.headers[-1][1][:5], second.headers[-1][1][:5]) == (b"1:k1:", b"1:k2:")
    assert [by.fault(read(signed)) for by in (before, after) for signed in (first, second)] == [None] * 4
    assert macs(replace(NEW, since_ms=0)).fault(read(first)) is MacFault.UNKNOWN_KEY


def test_introduction() -> None:
    """For a while a record without a MAC is believed, and never one with a wrong MAC."""
    introducing = macs(OLD, until_ms=101)
    assert introducing.fault(read(DETECTION, dated_by_broker=True)) is None
    assert introducing.fault(read(DETECTION, dated_by_broker=True, appended_at_ms=101)) is MacFault.MISSING
    assert introducing.fault(read(SIGNED, dated_by_broker=True, value=b"[]")) is MacFault.WRONG


@pytest.mark.parametrize("dated", [{"dated_by_broker": False}, {"dated_by_broker": True, "appended_at_ms": 0}], ids=str)
def test_time_by_the_sender(dated: dict[str, Any]) -> None:
    """A record that says itself when it was written, or not at all, needs a MAC also while keys are introduced."""
    assert macs(OLD, until_ms=101).fault(read(DETECTION, **dated)) is MacFault.MISSING


def test_prefix_is_a_part() -> None:
    """A record of one installation is not believed by another with the same keys, which a prefix tells apart."""
    copied = read(SIGNED, topic="copy.liveness.detections")
    assert macs(OLD, prefix="copy.").fault(copied) is MacFault.WRONG


def test_without_keys() -> None:
    assert (macs().signed(DETECTION), macs().fault(read(DETECTION))) == (DETECTION, None)
