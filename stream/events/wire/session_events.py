"""Session events: what is published of a session, keyed by correlation id.

The header `liveness_session` is for `liveness abuse rebuild`: fields of the session as the store keeps them
(`stream.sessions.session`), as JSON, under the record's MAC. No token is among them, nor the token's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from stream.events.message.messages import SESSION_HEADER, Output
from stream.events.wire.cloud_events import EventType, binary_headers
from stream.runtime import metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEvent:
    """Event of a session: a change of its state, or the refusal of a command. `event_id` is the same for the same
    change; `document` may hold a token, and is never shown. `fields`: those of the store that the event tells of."""

    event_type: EventType
    event_id: str
    subject: str
    tenant: str | None
    correlation_id: str | None
    document: dict[str, Any] = field(repr=False)
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)


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
    if event.fields:
        headers = (*headers, (SESSION_HEADER, orjson.dumps(event.fields)))
    key = (event.correlation_id or event.subject).encode()
    return Output(topic=topic, key=key, value=orjson.dumps(event.document), headers=headers)
