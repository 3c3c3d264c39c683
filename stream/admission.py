"""Admission: is this submission worth a detection? One look-up, before any picture is decoded."""

from __future__ import annotations

from config.error_codes import MEANING, ErrorCode
from stream.decision_store import DecisionStore
from stream.messages import AlreadyDecided, Refusal, Submission
from stream.patience import Patience


async def admit(submission: Submission, store: DecisionStore, patience: Patience) -> Refusal | AlreadyDecided | None:
    """None admits; anything else is a finished result. Waits while the store is away, never guesses."""
    stored = await patience.insist(lambda: store.find(submission.ids))
    if stored is None:
        return None
    if stored.fingerprint == submission.fingerprint:
        return AlreadyDecided(decision=stored.decision)
    return mismatch()


def mismatch() -> Refusal:
    """The answer to other content under a used submission id."""
    return Refusal(error=ErrorCode.DUPLICATE_MISMATCH, message=MEANING[ErrorCode.DUPLICATE_MISMATCH][0])
