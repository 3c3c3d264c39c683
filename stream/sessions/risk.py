"""The risk that a new session would carry: what is known of the correlation id, told to the app server either way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from abuse.event_time import iso8601
from abuse.flags.flags import Flag, RefusalKind, Severity
from abuse.ledger.ledger import Ledger, Switches
from abuse.review.refusals import CommandErrorCode
from abuse.rules.engine import AbuseEngine
from abuse.subjects import Subject, correlation

#: Open flags named in an answer.
MOST_FLAGS = 20
_BY_REFUSAL = {
    RefusalKind.PAUSED: CommandErrorCode.SUBJECT_PAUSED,
    RefusalKind.BLOCKED: CommandErrorCode.SUBJECT_BLOCKED,
}
_SEVERITIES = tuple(Severity)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRisk:
    """Risk of a session. `stopped`: why none may be created; None if it may."""

    retry_count: int
    open_flags: tuple[dict[str, Any], ...]
    stopped: CommandErrorCode | None
    switches: Switches

    @property
    def told(self) -> dict[str, Any]:
        """The part of an answer that an app server decides by."""
        return {"retry_count": self.retry_count, "open_flags": [dict(flag) for flag in self.open_flags]}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRisks:
    """Risks by the abuse table. `window_ms`: attempts so far back are retries. A flag on the correlation id stops
    sessions from `severity` on, if its kind is among `kinds`, where there are any."""

    ledger: Ledger
    engine: AbuseEngine
    window_ms: int
    severity: Severity = Severity.HIGH
    kinds: frozenset[str] | None = None

    async def of(self, tenant: str | None, correlation_id: str, device: Subject | None, at_ms: int) -> SessionRisk:
        """Risk at `at_ms`; one round trip. Raises `config.errors.Unavailable` when the table is away."""
        person = correlation(correlation_id)
        subjects = (person,) if device is None else (person, device)
        known, history = await asyncio.gather(
            self.ledger.read_heads(tenant, subjects), self.ledger.history(tenant, person)
        )
        since_ms = max(at_ms - self.window_ms, history.cleared_at_ms)
        flags = sorted(self.engine.reminder(known, at_ms).flags, key=_weight, reverse=True)
        hits = self.engine.hits(known, "", at_ms)
        stopped = CommandErrorCode.CORRELATION_ID_FLAGGED if any(self._stops(flag, person) for flag in flags) else None
        if hits and hits[0].enforced:
            stopped = _BY_REFUSAL[hits[0].refusal.kind]
        return SessionRisk(
            retry_count=sum(since_ms < attempt.at_ms <= at_ms for attempt in history.attempts),
            open_flags=tuple(map(_described, flags[:MOST_FLAGS])),
            stopped=stopped,
            switches=known.switches,
        )

    def _stops(self, flag: Flag, person: Subject) -> bool:
        grave = _SEVERITIES.index(flag.severity) >= _SEVERITIES.index(self.severity)
        return flag.subject == person and grave and (self.kinds is None or flag.kind in self.kinds)


def _weight(flag: Flag) -> tuple[int, int, str]:
    return _SEVERITIES.index(flag.severity), flag.last_ms, flag.flag_id


def _described(flag: Flag) -> dict[str, Any]:
    """Flag without its evidence and without whose it is."""
    return {
        "flag_id": flag.flag_id,
        "kind": str(flag.kind),
        "subject_type": str(flag.subject.type),
        "severity": str(flag.severity),
        "enforced": flag.enforced,
        "since": iso8601(flag.first_ms),
    }
