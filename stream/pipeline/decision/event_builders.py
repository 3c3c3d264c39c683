"""Event builders: the events that follow from one decided submission, each builder for one topic.

`DecideStage` publishes what its builders return, in their order. A further event (a change of a session, a recall)
is a further builder in the list that `stream.bootstrap.decide_role` makes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from abuse.flags.flags import FlagEvent
from stream.events.message.ids import request_id
from stream.events.message.messages import Detection, Output
from stream.events.wire.cloud_events import EventType, binary_headers
from stream.events.wire.flag_output import flag_output
from stream.events.wire.session_events import SessionEvent, session_output


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """Decision in force on a submission, as bytes, and the flag and session events to publish with it."""

    detection: Detection
    decision: bytes
    flags: Sequence[FlagEvent]
    sessions: Sequence[SessionEvent] = ()


#: Called by the decide stage once the outcome is stored. Pure, so that a repeat gives the same records.
EventBuilder = Callable[[Decided], Sequence[Output]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionEvents:
    """Decision of a submission, keyed by correlation id, else by submission id."""

    topic: str
    source: str

    def __call__(self, decided: Decided) -> Sequence[Output]:
        ids = decided.detection.ids
        headers = binary_headers(
            EventType.DECISION,
            event_id=request_id(ids, decided.detection.fingerprint),
            source=self.source,
            subject=ids.submission_id,
            extensions={"correlationid": ids.correlation_id, "tenant": ids.tenant},
        )
        key = ids.correlation_id or ids.submission_id
        return [Output(topic=self.topic, key=key.encode(), value=decided.decision, headers=headers)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagEvents:
    """Flag events of a submission, one record each."""

    topic: str
    source: str

    def __call__(self, decided: Decided) -> Sequence[Output]:
        return [flag_output(event, self.topic, self.source) for event in decided.flags]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEvents:
    """Changes of the submission's session, one record each, behind the decision."""

    topic: str
    source: str

    def __call__(self, decided: Decided) -> Sequence[Output]:
        return [session_output(event, self.topic, self.source) for event in decided.sessions]
