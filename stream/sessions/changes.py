"""Changes of a session as events: one for each state that a session reaches, the same bytes each time. Pure.

An event carries along the fields of the session that it tells of, for a rebuild of the store: those that are written
once, and stay as they are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from abuse.event_time import MS, iso8601
from stream.events.wire.cloud_events import EventType
from stream.events.wire.session_events import SessionEvent
from stream.sessions.session import ACTIVE, ATTEMPT, CREATED, END, SPENT, AttemptOutcome, Session, SessionState
from stream.sessions.session_record import told_text

#: Time that a check takes a person on average, by the concepts of face liveness: without and with an active step.
PASSIVE_BUDGET_MS, ACTIVE_BUDGET_MS = 12_000, 20_000


def created_event(session: Session, token: str) -> SessionEvent:
    """Answer to the command that created the session: the only event with the token."""
    record = session.record
    answer = {
        "client_request_token": record.client_request_token,
        "token": token,
        "retry_count": record.retry_count,
        "open_flags": [dict(flag) for flag in record.open_flags],
        "warnings": list(record.warnings),
    }
    event = _event(_before_active(session), SessionState.CREATED, record.created_s * MS, used=0, answer=answer)
    return replace(event, fields={CREATED: told_text(record)})


def running_event(session: Session) -> SessionEvent:
    """Event of the first attempt, once that is decided: none is used where it was given back."""
    first, before = session.attempts[1], _before_active(session)
    used = 0 if session.outcomes.get(1) is AttemptOutcome.UNSPENT else 1
    event = _event(before, SessionState.RUNNING, first.at_ms, used=used, submission_id=first.submission_id)
    return replace(event, fields={f"{ATTEMPT}1": first.to_text()})


def _before_active(session: Session) -> Session:
    """Session before its active step, so that an event from before has the same bytes whenever it is published."""
    return replace(session, active_since=None)


def active_event(session: Session) -> SessionEvent:
    """Event of the active step: the light was too strong for the passive check, and the challenges are asked for. The
    attempts used are those of that moment: a repeat has the same bytes."""
    assert session.active_since is not None, "called for a session whose active step has begun"
    began = session.attempts[session.active_since]
    used = session.used if session.active_spent is None else session.active_spent
    event = _event(session, SessionState.RUNNING, began.at_ms, used=used, submission_id=began.submission_id)
    fields = {f"{ATTEMPT}{session.active_since}": began.to_text(), ACTIVE: str(session.active_since), SPENT: str(used)}
    return replace(event, event_id=f"{session.record.session_id}-active", fields=fields)


def end_event(session: Session) -> SessionEvent:
    """Event of the session's end; of a cancelled one with the command's id."""
    end = session.end
    assert end is not None, "called for a session that has ended"
    answer = {"command_id": end.cause} if end.state is SessionState.CANCELLED else None
    ended_by: dict[str, Any] = {"submission_id": end.submission_id, "result": end.result, "answer": answer}
    event = _event(session, end.state, end.at_ms, used=end.used, **ended_by)
    return replace(event, fields={END: end.to_text()})


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
        "elapsed_ms": max(at_ms - record.created_s * MS, 0),
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
        "asks_challenges": session.asks_challenges,
        "budget_ms": ACTIVE_BUDGET_MS if session.asks_challenges else PASSIVE_BUDGET_MS,
        "attempts": {"allowed": record.attempts, "used": session.used if end is None else end.used},
        "created_at": iso8601(record.created_s * MS),
        "expires_at": iso8601(record.expires_ms),
        "submission_id": None if end is None else end.submission_id,
        "result": None if end is None else end.result,
    }
