"""A session as the store holds it: fields that are written once, each by its first writer. Pure.

    created    the record
    attempt:N  fingerprint, event time and id of the submission that has the attempt
    outcome:N  how that submission was decided
    active     number of the attempt that met too strong a light: challenges are asked for from now on
    spent      attempts spent when the challenges were first asked for
    end        state, time and cause of the end, and what the decision said

Attempts are taken in the order of their numbers, each by the first writer, while fewer than the allowed ones are spent.
Nothing that is written later makes an attempt spent that wasn't, so that no order of submissions gives one more. A
number of which nothing is known counts as spent if a higher one is known, as after a loss of Redis' content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from stream.events.message.messages import Detection, Submission
from stream.events.message.session_terms import LivenessMode
from stream.sessions.session_record import SessionRecord, record_from

Fields = Mapping[str, str]

CREATED, ATTEMPT, OUTCOME, ACTIVE, SPENT, END = "created", "attempt:", "outcome:", "active", "spent", "end"
#: Attempts given back in one session, at most: a client that makes the analysis fail again and again spends attempts
#: from then on.
MOST_UNSPENT = 5
#: Cause of an end that the sweep writes.
EXPIRY = "expiry"


class SessionState(StrEnum):
    CREATED = "created"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class AttemptOutcome(StrEnum):
    """How an attempt was decided; an unspent one was no fault of the person."""

    PASSED = "passed"
    FAILED = "failed"
    UNSPENT = "unspent"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnd:
    """End of a session. `cause`: the attempt or command that brought the end about, or `EXPIRY`; `submission_id`
    and `result` are of the decision that did."""

    state: SessionState
    at_ms: int
    cause: str
    used: int
    submission_id: str | None = None
    result: dict[str, Any] | None = None

    def to_text(self) -> str:
        return orjson.dumps(self).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAttempt:
    """Attempt of a session: the submission's fingerprint, id and event time. Of a submission that is sent as a record a
    frame, the fingerprint is of its ids."""

    fingerprint: str
    at_ms: int
    submission_id: str

    @classmethod
    def of(cls, taken: Submission | Detection) -> SessionAttempt:
        """Attempt that a submission takes; the records of one submission have the attempt in common."""
        ids, fingerprint = taken.ids, taken.fingerprint
        if taken.part is not None:
            told = orjson.dumps([ids.tenant, ids.submission_id, ids.correlation_id])
            fingerprint = hashlib.sha256(told).hexdigest()[:32]
        return cls(fingerprint=fingerprint, at_ms=taken.appended_at_ms, submission_id=ids.submission_id)

    def to_text(self) -> str:
        return f"{self.fingerprint} {self.at_ms} {self.submission_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Session with the attempts taken, by number from 1, and their outcomes."""

    record: SessionRecord
    attempts: Mapping[int, SessionAttempt]
    outcomes: Mapping[int, AttemptOutcome]
    #: Number of the attempt that met too strong a light, from which challenges are asked for; None without one.
    active_since: int | None
    #: Attempts spent when the challenges were first asked for; None before.
    active_spent: int | None = None
    end: SessionEnd | None

    @property
    def unspent(self) -> int:
        """Attempts given back."""
        return min(sum(each is AttemptOutcome.UNSPENT for each in self.outcomes.values()), MOST_UNSPENT)

    @property
    def taken(self) -> int:
        """Highest number of an attempt of which anything is known."""
        return max((*self.attempts, *self.outcomes), default=0)

    @property
    def used(self) -> int:
        """Attempts spent, those under way included."""
        return self.taken - self.unspent

    @property
    def failed(self) -> int:
        """Attempts that were decided and are spent."""
        return len(self.outcomes) - self.unspent

    @property
    def asks_challenges(self) -> bool:
        """Whether the next attempt answers challenges."""
        return self.record.mode is LivenessMode.ACTIVE or self.active_since is not None

    @property
    def state(self) -> SessionState:
        if self.end is not None:
            return self.end.state
        return SessionState.RUNNING if self.taken else SessionState.CREATED

    def attempt_of(self, fingerprint: str) -> int | None:
        """Number of the submission's attempt."""
        return next((number for number, taken in self.attempts.items() if taken.fingerprint == fingerprint), None)

    @property
    def next_attempt(self) -> int | None:
        """Number of the attempt that is free; None where every one is spent."""
        return self.taken + 1 if self.used < self.record.attempts else None


def session_from(fields: Fields) -> Session | None:
    """Session of a store's fields; None without a record. Raises KeyError, TypeError, ValueError for foreign fields."""
    if CREATED not in fields:
        return None
    attempts, outcomes = {}, {}
    for name, text in fields.items():
        if name.startswith(ATTEMPT):
            fingerprint, at_ms, submission_id = text.split(" ")
            taken = SessionAttempt(fingerprint=fingerprint, at_ms=int(at_ms), submission_id=submission_id)
            attempts[int(name.removeprefix(ATTEMPT))] = taken
        elif name.startswith(OUTCOME):
            outcomes[int(name.removeprefix(OUTCOME))] = AttemptOutcome(text)
    return Session(
        record=record_from(fields[CREATED]),
        attempts=dict(sorted(attempts.items())),
        outcomes=outcomes,
        active_since=None if ACTIVE not in fields else int(fields[ACTIVE]),
        active_spent=None if SPENT not in fields else int(fields[SPENT]),
        end=None if END not in fields else _end(fields[END]),
    )


def _end(text: str) -> SessionEnd:
    document = orjson.loads(text)
    return SessionEnd(**{**document, "state": SessionState(document["state"])})
