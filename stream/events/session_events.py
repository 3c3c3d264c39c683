"""Session events: what is published of a session, keyed by correlation id."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from stream.events.cloud_events import EventType, binary_headers
from stream.events.messages import Output
from stream.runtime import metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEvent:
    """Event of a session: a change of its state, or the refusal of a command. `event_id` is the same for the same
    change; `document` may hold a token, and is never shown."""

    event_type: EventType
    event_id: str
    subject: str
    tenant: str | None
    correlation_id: str | None
    document: dict[str, Any] = field(repr=False)


def session_output(event: SessionEvent, topic: str, source: str) -> Output:
    """Record of the sessions topic, and counted as such."""
    metrics.SESSION_EVENTS.labels(state=event.document.get("state", "refused")).inc()
    headers = binary_headers(
        event.event_type,
        event_id=event.event_id,
        source=source,
        subject=event.subject,
        extensions={"correlationid": event.correlation_id, "tenant": event.tenant},
    )
    key = (event.correlation_id or event.subject).encode()
    return Output(topic=topic, key=key, value=orjson.dumps(event.document), headers=headers)
