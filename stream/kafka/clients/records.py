"""Records from a client library's messages: aiokafka's and Faust's carry the same names."""

from __future__ import annotations

from typing import Any

from stream.events.message.messages import Record
from stream.events.wire.event_times import bounded

#: Type of a record's time in Kafka's protocol: LogAppendTime, which the broker sets.
_BY_BROKER = 1


def record_of(message: Any, *, timestamp_ms: int) -> Record:
    """Record of a message. A header's null value becomes an empty one, a time out of bounds the nearest bound."""
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value,
        headers=tuple((name, value or b"") for name, value in message.headers or ()),
        appended_at_ms=bounded(timestamp_ms),
        dated_by_broker=message.timestamp_type == _BY_BROKER,
    )
