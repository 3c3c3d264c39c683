"""The records of flag events, keyed by the correlation id they are about, else by their subject."""

from __future__ import annotations

import orjson

from abuse.flags.flags import FlagEvent
from abuse.subjects import SubjectType
from stream.events.message.messages import Output
from stream.events.wire.cloud_events import EventType, binary_headers
from stream.runtime import metrics


def flag_output(event: FlagEvent, topic: str, source: str) -> Output:
    """The record to publish, and counted as such."""
    subject, document = event.subject, orjson.loads(event.document)
    metrics.ABUSE_FLAGS.labels(kind=document["kind"], state=document["state"]).inc()
    correlation_id = subject.key if subject.type is SubjectType.CORRELATION_ID else None
    headers = binary_headers(
        EventType.ABUSE_FLAG,
        event_id=event.event_id,
        source=source,
        subject=event.flag_id,
        extensions={"correlationid": correlation_id, "tenant": event.tenant},
    )
    return Output(topic=topic, key=subject.key.encode(), value=event.document, headers=headers)
