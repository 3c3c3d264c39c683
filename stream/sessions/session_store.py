"""The session store: the port, and a store in memory.

Each field of a session is written once, by the first writer, and every call returns the fields as they then are:
a second writer sees what stands. Nothing is counted and nothing is changed, so that a call may be repeated, come
late or cross another, with the same outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from stream.sessions.session import CREATED, Fields
from stream.sessions.session_record import SessionRecord, to_text

#: Sessions read or removed at once.
PAGE = 100


@dataclass(frozen=True, slots=True, order=True)
class SessionName:
    """Name of a session: ids of two tenants never meet."""

    tenant: str | None
    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPage:
    """Sessions, the newest first, by their fields. `next`: cursor of the page behind; None after the last."""

    sessions: tuple[Fields, ...]
    next: str | None


class SessionStore(Protocol):
    """Sessions by name. Calls take one round trip unless said otherwise, may be repeated, and raise
    `config.errors.Unavailable` when the store is away."""

    async def create(self, record: SessionRecord, *, age_ms: int = 0) -> Fields:
        """Fields after storing the record, unless the session has one; a session command calls this, and a rebuild for
        a session that was created `age_ms` ago. Kept until the token has expired and for the store's retention
        after."""

    async def read(self, name: SessionName) -> Fields:
        """Fields of a session; empty for an unknown one. Commands and people's questions call this."""

    async def add(self, name: SessionName, fields: Fields) -> Fields:
        """Fields after storing those that the session hasn't yet. Gate, ledger, commands and the sweep call this.

        Of an unknown session nothing stays, and the answer has no record; that takes a second round trip.
        """

    async def due(self, now_ms: int, most: int) -> Sequence[SessionName]:
        """Sessions, at most so many, to end by `now_ms` (the store's time) and not settled; for the sweep."""

    async def settle(self, names: Sequence[SessionName]) -> None:
        """The sessions are due no more; for the sweep."""

    async def listed(
        self, tenant: str | None, correlation_id: str | None, *, limit: int, cursor: str | None = None
    ) -> SessionPage:
        """A page of a tenant's sessions, or of one correlation id's. Takes two round trips, however many sessions there
        are. Raises ValueError for a cursor that no page had."""

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        """Number of sessions kept for a correlation id; for an erasure's plan."""

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        """Number of sessions kept for a correlation id, all removed; for an erasure. Takes a few round trips."""


def cursor_of(at_s: int, ties: int) -> str:
    return f"{at_s}-{ties}"


def position_of(cursor: str | None) -> tuple[int | None, int]:
    """Second and number of sessions of that second already shown. Raises ValueError."""
    if cursor is None:
        return None, 0
    at_s, dash, ties = cursor.partition("-")
    if not dash or not (at_s.isdecimal() and ties.isdecimal()) or len(cursor) > 32:
        raise ValueError("expected the cursor of a page")
    return int(at_s), int(ties)


def next_cursor(shown: Sequence[int], at_s: int | None, ties: int) -> str:
    """Cursor behind the last of the sessions shown, given their seconds, on a page that began at a position."""
    last = shown[-1]
    return cursor_of(last, shown.count(last) + (ties if last == at_s else 0))


class InMemorySessionStore:
    """Session store in memory, for tests without services; `on_call` is told each call's name and may raise."""

    def __init__(self, on_call: Callable[[str], None] = lambda name: None, *, grace_ms: int = 0) -> None:
        self.kept: dict[SessionName, dict[str, str]] = {}
        self.records: dict[SessionName, SessionRecord] = {}
        self._due: dict[SessionName, int] = {}
        self._on_call, self._grace_ms = on_call, grace_ms

    async def create(self, record: SessionRecord, *, age_ms: int = 0) -> Fields:
        self._on_call("create")
        name = SessionName(record.tenant, record.session_id)
        fields = self.kept.setdefault(name, {})
        if CREATED not in fields:
            fields[CREATED], self.records[name] = to_text(record), record
            self._due[name] = record.expires_ms + self._grace_ms
        return dict(fields)

    async def read(self, name: SessionName) -> Fields:
        self._on_call("read")
        return dict(self.kept.get(name, {}))

    async def add(self, name: SessionName, fields: Fields) -> Fields:
        self._on_call("add")
        held = self.kept.get(name)
        if held is None:
            return {}
        for field, text in fields.items():
            held.setdefault(field, text)
        return dict(held)

    async def due(self, now_ms: int, most: int) -> Sequence[SessionName]:
        self._on_call("due")
        found = sorted((at_ms, name.session_id, name) for name, at_ms in self._due.items() if at_ms <= now_ms)
        return [name for *_, name in found[:most]]

    async def settle(self, names: Sequence[SessionName]) -> None:
        self._on_call("settle")
        for name in names:
            self._due.pop(name, None)

    async def listed(
        self, tenant: str | None, correlation_id: str | None, *, limit: int, cursor: str | None = None
    ) -> SessionPage:
        self._on_call("listed")
        at_s, ties = position_of(cursor)
        names = self._names_of(tenant, correlation_id)
        newest = sorted(((self.records[name].created_s, name.session_id, name) for name in names), reverse=True)
        left = [each for each in newest if at_s is None or each[0] <= at_s][ties:]
        shown = left[:limit]
        more = len(left) > limit
        return SessionPage(
            sessions=tuple(dict(self.kept[name]) for *_, name in shown),
            next=next_cursor([each[0] for each in shown], at_s, ties) if more else None,
        )

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        self._on_call("held")
        return len(self._names_of(tenant, correlation_id))

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        self._on_call("forget")
        names = self._names_of(tenant, correlation_id)
        for name in names:
            del self.kept[name], self.records[name]
            self._due.pop(name, None)
        return len(names)

    def _names_of(self, tenant: str | None, correlation_id: str | None) -> list[SessionName]:
        return [
            name
            for name, record in self.records.items()
            if name.tenant == tenant and correlation_id in (None, record.correlation_id)
        ]
