"""Expiry: sessions whose token has expired without success, found by the sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream.events.wire.session_events import SessionEvent
from stream.sessions.changes import end_event
from stream.sessions.session import END, EXPIRY, Session, SessionEnd, SessionState, session_from
from stream.sessions.session_store import SessionName, SessionStore

#: Sessions that are ended at the same time, so that their calls share round trips; a sweep goes on with the next.
MOST_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class SessionExpiry:
    """Calls raise `config.errors.Unavailable` when the store is away; each may be repeated."""

    store: SessionStore

    async def due(self, now_ms: int, most: int = MOST_AT_ONCE) -> Sequence[SessionName]:
        """Sessions to end or to forget about, by the store's time."""
        return await self.store.due(now_ms, most)

    async def expire(self, name: SessionName) -> SessionEvent | None:
        """The session ended; returns the event to publish, the same again for the same session. None for a session that
        ended otherwise, or is kept no longer."""
        session = session_from(await self.store.read(name))
        if session is not None and session.end is None:
            session = session_from(await self.store.add(name, {END: _end(session).to_text()}))
        ended = session is not None and session.end is not None and session.end.cause == EXPIRY
        return end_event(session) if session is not None and ended else None

    async def settle(self, name: SessionName) -> None:
        """The session is due no more; called once its event is published."""
        await self.store.settle([name])


def _end(session: Session) -> SessionEnd:
    """The end at the moment when the token expired."""
    return SessionEnd(state=SessionState.EXPIRED, at_ms=session.record.expires_ms, cause=EXPIRY, used=session.used)
