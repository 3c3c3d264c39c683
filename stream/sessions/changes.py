"""Changes of a session as events: one for each state that a session reaches, the same bytes each time. Pure."""

from __future__ import annotations

from typing import Any

from abuse.event_time import MS, iso8601
from stream.events.cloud_events import EventType
from stream.events.session_events import SessionEvent
from stream.sessions.session import Session, SessionState


def created_event(session: Session, token: str) -> SessionEvent:
    """Answer to the command that created the session: the only event with the token."""
    record = session.record
    answer = {
        "client_request_token": record.client_request_token,
        "token": token,
        "retry_count": record.retry_count,
        "open_flags": [dict(flag) for flag in record.open_flags],
    }
    return _event(session, SessionState.CREATED, record.created_s * MS, used=0, answer=answer)


def running_event(session: Session) -> SessionEvent:
    """Event of the first attempt."""
    first = session.attempts[1]
    return _event(session, SessionState.RUNNING, first.at_ms, used=1, submission_id=first.submission_id)


def end_event(session: Session) -> SessionEvent:
    """Event of the session's end."""
    end = session.end
    assert end is not None, "called for a session that has ended"
    return _event(session, end.state, end.at_ms, used=end.used, submission_id=end.submission_id, result=end.result)


def _event(
    session: Session,
    state: SessionState,
    at_ms: int,
    *,
    used: int,
    submission_id: str | None = None,
    result: dict[str, Any] | None = None,
    answer: dict[str, Any] | None = None,
) -> SessionEvent:
    record = session.record
    document = {
        **described(session),
        "state": str(state),
        "at": iso8601(at_ms),
        "attempts": {"allowed": record.attempts, "used": used},
        "submission_id": submission_id,
        "result": result,
        **(answer or {}),
    }
    return SessionEvent(
        event_type=EventType.SESSION,
        event_id=f"{record.session_id}-{state}",
        subject=record.session_id,
        tenant=record.tenant,
        correlation_id=record.correlation_id,
        document=document,
    )


def described(session: Session) -> dict[str, Any]:
    """Session as it is now, for events and for people; holds no token."""
    record, end = session.record, session.end
    light = {"colours": list(record.colours), "colour_ms": record.colour_ms} if record.colours else None
    return {
        "session_id": record.session_id,
        "tenant": record.tenant,
        "correlation_id": record.correlation_id,
        "state": str(session.state),
        "liveness_mode": str(record.mode),
        "liveness_threshold": record.threshold,
        "liveness_challenges": list(record.challenges),
        "light_challenge": light,
        "attempts": {"allowed": record.attempts, "used": session.used if end is None else end.used},
        "created_at": iso8601(record.created_s * MS),
        "expires_at": iso8601(record.expires_ms),
        "submission_id": None if end is None else end.submission_id,
        "result": None if end is None else end.result,
    }
