"""The session gate: does a session allow this submission, and on what terms? The port, and its answer without sessions.

Admission asks after it knows that the submission isn't decided yet and that no flag refuses it: neither spends an
attempt.
"""

from __future__ import annotations

from typing import Protocol

from stream.events.message.messages import Refusal, Submission
from stream.events.message.session_terms import SessionTerms
from stream.pipeline.admission.session_refusals import SessionRefusal, refusal_for


class SessionGate(Protocol):
    async def admit(self, submission: Submission, *, required: bool) -> SessionTerms | Refusal | None:
        """Terms of the submission's session, with an attempt of it; None for a submission without a token where none is
        `required`.

        The same submission again has the same attempt. Without a token no round trip, otherwise two, and one more for
        each race that was lost. Raises `config.errors.Unavailable` when the store is away.
        """


class NoSessions:
    """Gate of an installation without sessions, where intake refuses every token."""

    async def admit(self, submission: Submission, *, required: bool) -> SessionTerms | Refusal | None:
        return refusal_for(SessionRefusal.TOKEN_MISSING) if required else None


NO_SESSIONS = NoSessions()
