"""Admission: is this submission worth a detection? Looked up before any picture is decoded."""

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
from config.error_codes import MEANING, ErrorCode
from stream.events.ids import SubmissionIds
from stream.events.messages import AlreadyDecided, Refusal, Submission
from stream.pipeline.decision_store import DecisionStore
from stream.runtime import metrics
from stream.runtime.patience import RetryPolicy

MINUTE_MS = 60_000

_ERROR = {RefusalKind.PAUSED: ErrorCode.SUBJECT_PAUSED, RefusalKind.BLOCKED: ErrorCode.SUBJECT_BLOCKED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """Worth a detection. `active`: rules that will look at it: what none of them needs is not kept."""

    active: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Waits while what it asks is away, never guesses."""

    store: DecisionStore
    gate: Gate
    patience: RetryPolicy

    async def admit(self, submission: Submission, origin: Origin) -> Admitted | Refusal | AlreadyDecided:
        """Anything but Admitted is a finished result. Both look-ups go out together."""
        stored, answer = await asyncio.gather(
            self.patience.until_available(lambda: self.store.find(submission.ids)),
            self.patience.until_available(lambda: self._ask(submission, origin)),
        )
        if stored is not None:
            if stored.fingerprint == submission.fingerprint:
                return AlreadyDecided(decision=stored.decision)
            return mismatch(submission.ids, stored.decision)
        hits = answer.hits
        for hit in hits:
            enforced = "yes" if hit.enforced else "no"
            metrics.ABUSE_OBJECTIONS.labels(kind=str(hit.flag.kind), enforced=enforced).inc()
        if hits and hits[0].enforced:
            return refusal(hits[0], submission.appended_at_ms)
        return Admitted(active=answer.active)

    async def _ask(self, submission: Submission, origin: Origin) -> GateAnswer:
        ids = submission.ids
        assert ids.correlation_id is not None, "intake lets none through without"
        subjects = (correlation(ids.correlation_id), *origin.subjects)
        return await self.gate.ask(ids.tenant, subjects, ids.submission_id, submission.appended_at_ms)


def refusal(hit: RuleHit, at_ms: int) -> Refusal:
    """The answer to a submission that a flag stands against; `at_ms` is when it came in."""
    error, until_ms = _ERROR[hit.refusal.kind], hit.refusal.until_ms
    if error is ErrorCode.SUBJECT_PAUSED:
        minutes = -(-(until_ms - at_ms) // MINUTE_MS)
        ending = f"{minutes} min left, until {iso8601(until_ms)}"
    else:
        ending = f"until {iso8601(until_ms)} unless a reviewer decides before"
    return Refusal(error=error, message=f"{MEANING[error][0]}; {ending}", counts=False)


def mismatch(ids: SubmissionIds, decision: bytes) -> Refusal:
    """The answer to other content under a submission id that `decision` was made for. Whoever guesses another's id
    and is first must not bring the other into trouble."""
    error = ErrorCode.DUPLICATE_MISMATCH
    own = orjson.loads(decision)["correlation_id"] == ids.correlation_id
    return Refusal(error=error, message=MEANING[error][0], counts=own)
