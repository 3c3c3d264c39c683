"""The ledger of sessions: an attempt's outcome, and the end that follows from it, each written by the first writer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from config.catalogues.error_codes import ErrorCode
from stream.events.message.messages import Detection
from stream.events.message.session_terms import LivenessMode, SessionTerms
from stream.events.wire.session_events import SessionEvent
from stream.sessions.changes import active_event, end_event, running_event
from stream.sessions.outcome import outcome_of, result_of
from stream.sessions.session import (
    ACTIVE,
    ATTEMPT,
    END,
    OUTCOME,
    SPENT,
    AttemptOutcome,
    Session,
    SessionEnd,
    SessionState,
    session_from,
)
from stream.sessions.session_store import SessionName, SessionStore


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionBook:
    """Adapter of the port `SessionLedger`: one round trip a decision, and one more each where the session ends by it or
    asks for challenges, and where the attempt is given back: only a look at whose it is comes before that."""

    store: SessionStore

    async def decided(self, detection: Detection, decision: bytes) -> Sequence[SessionEvent]:
        terms = detection.session
        if terms is None:
            return ()
        document: dict[str, Any] = orjson.loads(decision)
        name = SessionName(detection.ids.tenant, terms.session_id)
        gives_back = outcome_of(terms, document) is AttemptOutcome.UNSPENT
        if gives_back and not _is_theirs(session_from(await self.store.read(name)), terms, detection):
            return ()
        session = session_from(await self.store.add(name, _fields(terms, document)))
        if session is None or not _is_theirs(session, terms, detection):
            return ()
        end = _end(session, terms, detection, document)
        then: dict[str, str] = {} if session.end is not None or end is None else {END: end.to_text()}
        if session.active_since == terms.attempt and session.active_spent is None:
            then[SPENT] = str(session.used)
        if then:
            session = session_from(await self.store.add(name, then))
        return () if session is None else _events(session, terms.attempt)


def _is_theirs(session: Session | None, terms: SessionTerms, detection: Detection) -> bool:
    """Whether the attempt is the submission's, and the session kept, that very one. While a submission is
    analysed, its session may be erased and created anew under the same request token, and Redis may lose its content
    and give the attempt's number to another submission."""
    if session is None or terms.nonce not in ("", session.record.token_id):  # earlier workers told no nonce
        return False
    holder = session.attempts.get(terms.attempt)
    return holder is None or holder.submission_id == detection.ids.submission_id


def _fields(terms: SessionTerms, decision: dict[str, Any]) -> dict[str, str]:
    fields = {f"{OUTCOME}{terms.attempt}": str(outcome_of(terms, decision))}
    error = decision["error"]
    too_bright = error is not None and error["code"] == ErrorCode.ENVIRONMENT_NOT_SUPPORTED
    return fields | ({ACTIVE: str(terms.attempt)} if too_bright and terms.mode is LivenessMode.PASSIVE_ACTIVE else {})


def _end(session: Session, terms: SessionTerms, detection: Detection, decision: dict[str, Any]) -> SessionEnd | None:
    """End that the decision brings about. An attempt under way may still succeed: only decided ones make a session
    fail."""
    passed = session.outcomes[terms.attempt] is AttemptOutcome.PASSED
    if passed and outcome_of(terms, decision) is AttemptOutcome.PASSED:
        state = SessionState.SUCCEEDED
    elif session.failed >= session.record.attempts:
        state = SessionState.FAILED
    else:
        return None
    return SessionEnd(
        state=state,
        at_ms=detection.appended_at_ms,
        cause=f"{ATTEMPT}{terms.attempt}",
        used=session.used,
        submission_id=detection.ids.submission_id,
        result=None if decision["error"] is not None else result_of(terms, decision),
    )


def _events(session: Session, attempt: int) -> list[SessionEvent]:
    """Events that the decision on an attempt publishes: each change is published by the attempt that brought it
    about."""
    ends = session.end is not None and session.end.cause == f"{ATTEMPT}{attempt}"
    found = [running_event(session)] if attempt == 1 and attempt in session.attempts else []
    if session.active_since == attempt and attempt in session.attempts:
        found.append(active_event(session))
    return [*found, *([end_event(session)] if ends else [])]
