"""Admission: whether a submission is analysed, answered from the store, or refused; before any picture is decoded."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import orjson

from abuse.event_time import iso8601
from abuse.flags.flags import RefusalKind
from abuse.observation import Origin
from abuse.rules.base import RuleHit
from abuse.rules.gate import Gate, GateAnswer
from abuse.subjects import correlation
from config.catalogues.error_codes import MEANING, ErrorCode
from stream.events.message.ids import SubmissionIds
from stream.events.message.messages import AlreadyDecided, Refusal, Submission
from stream.events.message.session_terms import SessionTerms
from stream.pipeline.admission.session_gate import NO_SESSIONS, SessionGate
from stream.pipeline.decision_store import DecisionStore
from stream.runtime import metrics
from stream.runtime.patience import RetryPolicy

MINUTE_MS = 60_000

_ERROR = {RefusalKind.PAUSED: ErrorCode.SUBJECT_PAUSED, RefusalKind.BLOCKED: ErrorCode.SUBJECT_BLOCKED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """Submission to be analysed. `active`: names of the tenant's active rules, for which reuse references are made.
    `session`: terms of the session whose token came along, with an attempt of it."""

    active: frozenset[str]
    session: SessionTerms | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Admission stage. Waits while store or abuse table is away: a submission is never admitted unchecked."""

    store: DecisionStore
    gate: Gate
    patience: RetryPolicy
    sessions: SessionGate = NO_SESSIONS

    async def admit(self, submission: Submission, origin: Origin) -> Admitted | Refusal | AlreadyDecided:
        """Admission of one submission, for the detect stage: anything but Admitted is a final result.

        Store and gate are asked at the same time: one round trip, and two more for a submission with a session token.
        A repeat has the same attempt of the session and changes nothing else. Raises `DependencyTimeout` when one of
        them stays away too long.
        """
        stored, answer = await asyncio.gather(
            self.patience.until_available(self.store.find, submission.ids),
            self.patience.until_available(self._ask, submission, origin),
        )
        if stored is not None:
            if stored.is_for(submission.ids, submission.fingerprint):
                return AlreadyDecided(decision=stored.decision)
            return mismatch(submission.ids, stored.decision)
        hits = answer.hits
        for hit in hits:
            enforced = "yes" if hit.enforced else "no"
            metrics.ABUSE_RULE_HITS.labels(kind=str(hit.flag.kind), enforced=enforced).inc()
        if hits and hits[0].enforced:
            return refusal(hits[0], submission.appended_at_ms)
        needed = answer.needs_session
        terms = await self.patience.until_available(lambda: self.sessions.admit(submission, required=needed))
        return terms if isinstance(terms, Refusal) else Admitted(active=answer.active, session=terms)

    async def _ask(self, submission: Submission, origin: Origin) -> GateAnswer:
        ids = submission.ids
        assert ids.correlation_id is not None, "intake rejects a submission without correlation id"
        subjects = (correlation(ids.correlation_id), *origin.subjects)
        return await self.gate.ask(ids.tenant, subjects, ids.submission_id, submission.appended_at_ms)


def refusal(hit: RuleHit, at_ms: int) -> Refusal:
    """Refusal of a submission by an enforced rule hit; `at_ms` is the submission's event time."""
    error, until_ms = _ERROR[hit.refusal.kind], hit.refusal.until_ms
    if error is ErrorCode.SUBJECT_PAUSED:
        minutes = -(-(until_ms - at_ms) // MINUTE_MS)
        ending = f"{minutes} min left, until {iso8601(until_ms)}"
    else:
        ending = f"until {iso8601(until_ms)} unless a reviewer decides before"
    return Refusal(error=error, message=f"{MEANING[error][0]}; {ending}", counts=False)


def mismatch(ids: SubmissionIds, decision: bytes) -> Refusal:
    """Refusal of other content under a submission id that `decision` was made for.

    `counts` is true only for the correlation id of that decision: an attacker who guesses and uses up submission ids
    must not get their owners flagged.
    """
    error = ErrorCode.DUPLICATE_MISMATCH
    own = orjson.loads(decision)["correlation_id"] == ids.correlation_id
    return Refusal(error=error, message=MEANING[error][0], counts=own)
