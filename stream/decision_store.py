"""Which decision a submission got: first writer wins, so that a duplicate gets the identical bytes again.

A decision is kept under its submission id together with the fingerprint of what was submitted. The same
fingerprint again is a duplicate; another one is other content under a used id and is kept apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from stream.messages import SubmissionIds


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """What is held for a submission id: the fingerprint it was decided for, and the published bytes."""

    fingerprint: str
    decision: bytes = field(repr=False)


class DecisionStore(Protocol):
    """Both calls may wait on the network, take one round trip, and raise `patience.Unavailable` when it is away."""

    async def find(self, ids: SubmissionIds) -> StoredDecision | None:
        """The decision that owns this submission id, if any."""

    async def keep_first(self, ids: SubmissionIds, ours: StoredDecision) -> StoredDecision:
        """Store ours unless the id is owned; answer whichever was first. The same call again answers the same."""

    async def keep_apart(self, ids: SubmissionIds, ours: StoredDecision) -> StoredDecision:
        """The same for what can't own the id, other content under an owned one say: kept by id and fingerprint."""

    async def ping(self) -> None:
        """Answer if the store would take a decision now."""

    async def close(self) -> None:
        """Give the connections back."""


Key = tuple[str, str]


def owner_key(ids: SubmissionIds) -> Key:
    return (ids.tenant or "", ids.submission_id)


class InMemoryDecisionStore:
    """The fake that ships with the port: for tests without services. It records how often it was asked."""

    def __init__(self, on_call: Callable[[str], None] = lambda name: None) -> None:
        self._owners: dict[Key, StoredDecision] = {}
        self._mismatches: dict[tuple[Key, str], StoredDecision] = {}
        self._on_call = on_call

    async def find(self, ids: SubmissionIds) -> StoredDecision | None:
        self._on_call("find")
        return self._owners.get(owner_key(ids))

    async def keep_first(self, ids: SubmissionIds, ours: StoredDecision) -> StoredDecision:
        self._on_call("keep_first")
        return self._owners.setdefault(owner_key(ids), ours)

    async def keep_apart(self, ids: SubmissionIds, ours: StoredDecision) -> StoredDecision:
        self._on_call("keep_apart")
        return self._mismatches.setdefault((owner_key(ids), ours.fingerprint), ours)

    async def ping(self) -> None:
        self._on_call("ping")

    async def close(self) -> None:
        self._on_call("close")
