"""Which decision a submission got: first writer wins, so that a duplicate gets the identical bytes again.

A decision is kept under its submission id together with the fingerprint of what was submitted. The same
fingerprint again is a duplicate; another one is other content under a used id and is kept apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import orjson

from stream.events.ids import SubmissionIds


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """What is held for a submission id: the fingerprint it was decided for, and the published bytes."""

    fingerprint: str
    decision: bytes = field(repr=False)


class DecisionStore(Protocol):
    """Calls may wait on the network, take one round trip, and raise `patience.Unavailable` when it is away."""

    async def find(self, ids: SubmissionIds) -> StoredDecision | None:
        """The decision that owns this submission id, if any."""

    async def put_if_absent(self, ids: SubmissionIds, ours: StoredDecision) -> StoredDecision:
        """Store ours unless the id is owned; answer whichever was first. The same call again answers the same."""

    async def put_by_fingerprint(self, ids: SubmissionIds, ours: StoredDecision) -> StoredDecision:
        """The same for what can't own the id, other content under an owned one say: kept by id and fingerprint."""

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        """How many decisions are kept for a correlation id."""

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        """Remove every decision kept for a correlation id; how many there were. Takes a few round trips."""

    async def unlink(self, tenant: str | None, correlation_id: str, others: Sequence[str]) -> None:
        """Take links to a correlation id out of the decisions kept for these others. From then on their duplicates are
        answered without them. Takes a few round trips."""

    async def ping(self) -> None:
        """Answer if the store would take a decision now."""

    async def close(self) -> None:
        """Give the connections back."""


def unlinked(decision: bytes, correlation_id: str) -> bytes:
    """A decision without its links to a correlation id: the very same bytes if it has none."""
    if correlation_id.encode() not in decision:
        return decision
    event = orjson.loads(decision)
    abuse = event.get("abuse") or {}
    if "links" in abuse:
        ends = ((link, [end["correlation_id"] for end in link["ends"]]) for link in abuse["links"])
        abuse["links"] = [link for link, ids in ends if correlation_id not in ids]
    return orjson.dumps(event)


def is_of(stored: StoredDecision, correlation_id: str) -> bool:
    """Whether it decides on a submission of the correlation id: several may have used one submission id."""
    try:
        return bool(orjson.loads(stored.decision)["correlation_id"] == correlation_id)
    except (ValueError, TypeError, KeyError):
        return False


Key = tuple[str, str]


def owner_key(ids: SubmissionIds) -> Key:
    return (ids.tenant or "", ids.submission_id)


class InMemoryDecisionStore:
    """The fake that ships with the port: for tests without services. It records how often it was asked."""

    def __init__(self, on_call: Callable[[str], None] = lambda name: None) -> None:
        #: By owner, and for what is kept apart by owner and fingerprint.
        self._kept: dict[tuple[Key, str], StoredDecision] = {}
        self._on_call = on_call

    async def find(self, ids: SubmissionIds) -> StoredDecision | None:
        self._on_call("find")
        return self._kept.get((owner_key(ids), ""))

    async def put_if_absent(self, ids: SubmissionIds, ours: StoredDecision) -> StoredDecision:
        self._on_call("put_if_absent")
        return self._keep(ids, "", ours)

    async def put_by_fingerprint(self, ids: SubmissionIds, ours: StoredDecision) -> StoredDecision:
        self._on_call("put_by_fingerprint")
        return self._keep(ids, ours.fingerprint, ours)

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        self._on_call("held")
        return len(self._theirs(tenant, correlation_id))

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        self._on_call("forget")
        mine = self._theirs(tenant, correlation_id)
        for name in mine:
            del self._kept[name]
        return len(mine)

    async def unlink(self, tenant: str | None, correlation_id: str, others: Sequence[str]) -> None:
        self._on_call("unlink")
        for name in [name for other in others for name in self._theirs(tenant, other)]:
            stored = self._kept[name]
            self._kept[name] = replace(stored, decision=unlinked(stored.decision, correlation_id))

    async def ping(self) -> None:
        self._on_call("ping")

    async def close(self) -> None:
        self._on_call("close")

    def _keep(self, ids: SubmissionIds, apart: str, ours: StoredDecision) -> StoredDecision:
        return self._kept.setdefault((owner_key(ids), apart), ours)

    def _theirs(self, tenant: str | None, correlation_id: str) -> list[tuple[Key, str]]:
        kept = self._kept.items()
        return [name for name, stored in kept if name[0][0] == (tenant or "") and is_of(stored, correlation_id)]
