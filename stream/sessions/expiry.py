"""Expiry: sessions whose token has expired without success, found by the sweep."""

from __future__ import annotations

from stream.events.wire.session_events import SessionEvent
from stream.sessions.changes import end_event
from stream.sessions.session import END, EXPIRY, Session, SessionEnd, SessionState, session_from
from stream.sessions.session_store import SessionName, SessionStore

#: Sessions that are ended at the same time, so that their calls share round trips; a sweep goes on with the next.
MOST_AT_ONCE = 100


async def expire(store: SessionStore, name: SessionName) -> SessionEvent | None:
    """The session ended; returns the event to publish, the same again for the same session. None for a session that
    ended otherwise, or is kept no longer. May be repeated. Raises `config.errors.Unavailable`."""
    session = session_from(await store.read(name))
    if session is not None and session.end is None:
        session = session_from(await store.add(name, {END: _end(session).to_text()}))
    ended = session is not None and session.end is not None and session.end.cause == EXPIRY
    return end_event(session) if session is not None and ended else None


def _end(session: Session) -> SessionEnd:
    """The end at the moment when the token expired."""
    return SessionEnd(state=SessionState.EXPIRED, at_ms=session.record.expires_ms, cause=EXPIRY, used=session.used)
