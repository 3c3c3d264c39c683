"""Queries of sessions: what an app server's operator reads, as documents without tokens, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from stream.runtime.patience import RetryPolicy
from stream.sessions.changes import described
from stream.sessions.session import session_from
from stream.sessions.session_store import SessionName, SessionStore


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionListing:
    """Sessions, the newest first. `next`: the cursor of the page behind; None after the last."""

    sessions: Sequence[dict[str, Any]]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionQueries:
    """Queries read only, so every call may be repeated. Each waits for Redis up to `at_most_s` seconds, then raises
    `stream.runtime.patience.DependencyTimeout`; `abuse.redis_port.ForeignValue` for a foreign key."""

    store: SessionStore
    patience: RetryPolicy
    at_most_s: float

    async def session(self, tenant: str | None, session_id: str) -> dict[str, Any] | None:
        """A session as it is now; None for an unknown one, and one of another tenant. One round trip."""
        read = partial(self.store.read, SessionName(tenant, session_id))
        session = session_from(await self.patience.until_available(read, at_most_s=self.at_most_s))
        return None if session is None else described(session)

    async def sessions(
        self, tenant: str | None, correlation_id: str | None, *, limit: int, cursor: str | None = None
    ) -> SessionListing:
        """A page of a tenant's sessions, or of one correlation id's. Two round trips. Raises ValueError for a cursor
        that no page had."""
        read = partial(self.store.listed, tenant, correlation_id, limit=limit, cursor=cursor)
        page = await self.patience.until_available(read, at_most_s=self.at_most_s)
        found = [session_from(fields) for fields in page.sessions]
        return SessionListing(sessions=[described(session) for session in found if session is not None], next=page.next)
