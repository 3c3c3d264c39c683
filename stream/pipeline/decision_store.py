"""Decision store: the first writer of a submission id wins, so that a duplicate gets the identical bytes again.

A decision is kept under its submission id together with the fingerprint of the submission. The same fingerprint again
is a duplicate; another fingerprint is other content under a used id and is kept under id and fingerprint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import orjson

from abuse.event_time import milliseconds
from stream.events.message.ids import SubmissionIds, request_id

Place = TypeVar("Place")

#: Characters of a fingerprint.
FINGERPRINT_LENGTH = 32


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """Decision as published, with the fingerprint of the submission it was made for."""

    fingerprint: str
    decision: bytes = field(repr=False)

    def is_for(self, ids: SubmissionIds, fingerprint: str) -> bool:
        """Whether the decision was made for this content. A rebuild knows the request id instead of the fingerprint."""
        return self.fingerprint == fingerprint or self.fingerprint == stand_in(request_id(ids, fingerprint))


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedDecision:
    """Decision as found on the topic. `owns`: whether the decision may own its submission id."""

    ids: SubmissionIds
    request_id: str
    decided_at_ms: int
    owns: bool
    decision: bytes = field(repr=False)

    @property
    def stored(self) -> StoredDecision:
        return StoredDecision(stand_in(self.request_id), self.decision)


def stand_in(request_id: str) -> str:
    """Text in place of a fingerprint, for content of which only the request id is known."""
    return request_id.ljust(FINGERPRINT_LENGTH, ".")


class DecisionStore(Protocol):
    """Decisions by submission id. Calls take one round trip unless said otherwise, may be repeated, and raise
    `config.errors.Unavailable` when the store is away."""

    async def find(self, ids: SubmissionIds) -> StoredDecision | None:
        """Decision that owns this submission id, if any; for admission."""

    async def put_if_absent(self, ids: SubmissionIds, ours: StoredDecision) -> StoredDecision:
        """Decision in force after storing ours unless the submission id is owned; for the decide stage."""

    async def put_by_fingerprint(self, ids: SubmissionIds, ours: StoredDecision) -> StoredDecision:
        """Decision in force after storing ours under id and fingerprint unless there is one; for the decide stage, when
        a submission can't own its id: other content under an owned id, or no correlation id."""

    async def restore(self, published: Sequence[PublishedDecision]) -> int:
        """Number of published decisions that are kept now, those of the past left out; for a rebuild. Of several for
        one submission id the one made first owns the id, whatever was stored since. Takes a few round trips."""

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        """Number of decisions kept for a correlation id; for an erasure's plan."""

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        """Number of decisions kept for a correlation id, all removed; for an erasure. Takes a few round trips."""

    async def unlink(self, tenant: str | None, correlation_id: str, others: Sequence[str]) -> None:
        """Links to a correlation id taken out of the decisions kept for `others`, so that their duplicates no longer
        name it; for an erasure. Takes a few round trips."""

    async def ping(self) -> None:
        """Store reached and ready to take a decision; for start-up and readiness."""

    async def close(self) -> None:
        """Connections closed; the last call."""


def settled(held: StoredDecision, published: PublishedDecision) -> tuple[StoredDecision, StoredDecision | None]:
    """Decision to keep where one is held already, and one to keep apart: on other content, and made later."""
    told = _told(held)
    if told is None:
        return held, published.stored
    request, decided_at_ms = told
    first = published.decided_at_ms < decided_at_ms
    if request == published.request_id:
        return (replace(held, decision=published.decision) if first else held), None
    return (published.stored, held) if first else (held, published.stored)


def _told(held: StoredDecision) -> tuple[str, int] | None:
    """Request id and time of a held decision; None for one that doesn't say."""
    try:
        event = orjson.loads(held.decision)
        return str(event["request_id"]), milliseconds(event["timestamp"])
    except (ValueError, TypeError, KeyError):
        return None


def in_order(
    published: Iterable[PublishedDecision], place: Callable[[PublishedDecision, bool], Place]
) -> dict[Place, PublishedDecision]:
    """Published decisions by the place each is kept at, its own or (True) that of its submission id, the first one
    made; another one on other content is kept at its own place."""
    found: dict[Place, PublishedDecision] = {}
    for each in sorted(published, key=lambda each: each.decided_at_ms):
        if found.setdefault(place(each, each.owns), each).request_id != each.request_id:
            found.setdefault(place(each, False), each)
    return found


def unlinked(decision: bytes, correlation_id: str) -> bytes:
    """Decision without its links to a correlation id: the very same bytes if it has none."""
    if correlation_id.encode() not in decision:
        return decision
    event = orjson.loads(decision)
    abuse = event.get("abuse") or {}
    if "links" in abuse:
        ends = ((link, [end["correlation_id"] for end in link["ends"]]) for link in abuse["links"])
        abuse["links"] = [link for link, ids in ends if correlation_id not in ids]
    return orjson.dumps(event)


def is_of(stored: StoredDecision, correlation_id: str) -> bool:
    """Decision on a submission of this correlation id? Several correlation ids may have used one submission id."""
    try:
        return bool(orjson.loads(stored.decision)["correlation_id"] == correlation_id)
    except (ValueError, TypeError, KeyError):
        return False


OwnerKey = tuple[str, str]


def owner_key(ids: SubmissionIds) -> OwnerKey:
    return (ids.tenant or "", ids.submission_id)


class InMemoryDecisionStore:
    """Decision store in memory, for tests without services; `on_call` is told each call's name and may raise."""

    def __init__(self, on_call: Callable[[str], None] = lambda name: None) -> None:
        #: By owner and, where put by fingerprint, the fingerprint; else "".
        self._kept: dict[tuple[OwnerKey, str], StoredDecision] = {}
        self._on_call = on_call

    async def find(self, ids: SubmissionIds) -> StoredDecision | None:
        self._on_call("find")
        return self._kept.get((owner_key(ids), ""))

    async def put_if_absent(self, ids: SubmissionIds, ours: StoredDecision) -> StoredDecision:
        self._on_call("put_if_absent")
        return self._put(ids, "", ours)

    async def put_by_fingerprint(self, ids: SubmissionIds, ours: StoredDecision) -> StoredDecision:
        self._on_call("put_by_fingerprint")
        restored = self._kept.get((owner_key(ids), stand_in(request_id(ids, ours.fingerprint))))
        return restored or self._put(ids, ours.fingerprint, ours)

    async def restore(self, published: Sequence[PublishedDecision]) -> int:
        self._on_call("restore")

        def place(each: PublishedDecision, owns: bool) -> tuple[OwnerKey, str]:
            return owner_key(each.ids), "" if owns else each.stored.fingerprint

        for at, each in in_order(published, place).items():
            first, other = settled(self._kept.setdefault(at, each.stored), each)
            self._kept[at] = first
            if other is not None:
                self._put(each.ids, other.fingerprint, other)
        return len(published)

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        self._on_call("held")
        return len(self._names_of(tenant, correlation_id))

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        self._on_call("forget")
        names = self._names_of(tenant, correlation_id)
        for name in names:
            del self._kept[name]
        return len(names)

    async def unlink(self, tenant: str | None, correlation_id: str, others: Sequence[str]) -> None:
        self._on_call("unlink")
        for name in [name for other in others for name in self._names_of(tenant, other)]:
            stored = self._kept[name]
            self._kept[name] = replace(stored, decision=unlinked(stored.decision, correlation_id))

    async def ping(self) -> None:
        self._on_call("ping")

    async def close(self) -> None:
        self._on_call("close")

    def _put(self, ids: SubmissionIds, fingerprint: str, ours: StoredDecision) -> StoredDecision:
        return self._kept.setdefault((owner_key(ids), fingerprint), ours)

    def _names_of(self, tenant: str | None, correlation_id: str) -> list[tuple[OwnerKey, str]]:
        kept = self._kept.items()
        return [name for name, stored in kept if name[0][0] == (tenant or "") and is_of(stored, correlation_id)]
