"""The contract of decision stores for a rebuild: owners of ids, and identical bytes for a duplicate."""

from __future__ import annotations

import orjson
import pytest

from abuse.event_time import iso8601
from abuse.store_time import StillTime
from stream.events.message.ids import SubmissionIds, request_id
from stream.pipeline.decision_store import DecisionStore, InMemoryDecisionStore, PublishedDecision, StoredDecision
from stream.redis.decision_store import RedisDecisionStore
from tests.contract.redis_servers import Held, PortKind
from tests.instants import NOW_MS

TTL_S = 3600
CORRELATION_ID = "00000000-0000-4000-8000-000000000001"
IDS = SubmissionIds(submission_id="sub-1", tenant="bank", correlation_id=CORRELATION_ID)
OURS, OTHERS = "a" * 32, "b" * 32
PORT = PortKind(
    in_memory=InMemoryDecisionStore,
    on_redis=lambda calls, prefix: RedisDecisionStore(calls, prefix, TTL_S, StillTime(NOW_MS)),
)


@pytest.fixture
def store(held: Held) -> DecisionStore:
    return held.store


def made(fingerprint: str = OURS, ago_s: int = 60, **changed: object) -> PublishedDecision:
    """A decision as published so long ago."""
    at_ms, name = NOW_MS - ago_s * 1000, request_id(IDS, fingerprint)
    event = {"correlation_id": CORRELATION_ID, "request_id": name, "timestamp": iso8601(at_ms)}
    given = {"ids": IDS, "request_id": name, "decided_at_ms": at_ms, "owns": True, "decision": orjson.dumps(event)}
    return PublishedDecision(**{**given, **changed})


def stored(published: PublishedDecision, fingerprint: str = OURS) -> StoredDecision:
    return StoredDecision(fingerprint, published.decision)


async def owner(store: DecisionStore) -> bytes:
    found = await store.find(IDS)
    assert found is not None
    return found.decision


async def test_duplicate_gets_the_identical_bytes(store):
    first, later = made(), made(ago_s=0)
    assert await store.restore([first]) == 1
    found = await store.find(IDS)
    assert (found.decision, found.is_for(IDS, OURS), found.is_for(IDS, OTHERS)) == (first.decision, True, False)
    assert (await store.put_if_absent(IDS, stored(later))).decision == first.decision
    assert await store.held("bank", CORRELATION_ID) == 1
    assert await store.forget("bank", CORRELATION_ID) == 1
    assert await store.find(IDS) is None


@pytest.mark.parametrize("owns", [False, True], ids=["refused content", "content that lost"])
@pytest.mark.parametrize("turned", [False, True])
async def test_other_content_is_kept_apart(store, owns, turned):
    """In any order of records; what is stored since doesn't replace what was published."""
    first, other = made(), made(OTHERS, ago_s=50, owns=owns)
    await store.restore([other, first] if turned else [first, other])
    assert await owner(store) == first.decision
    assert (await store.put_by_fingerprint(IDS, StoredDecision(OTHERS, b"since"))).decision == other.decision
    assert await store.put_by_fingerprint(IDS, StoredDecision("c" * 32, b"new")) == StoredDecision("c" * 32, b"new")
    assert await store.held("bank", CORRELATION_ID) == 2


@pytest.mark.parametrize("turned", [False, True])
async def test_order_of_batches_is_free(store, turned):
    """Records of several partitions: the decision made first owns the id."""
    first, lost = made(), made(OTHERS, ago_s=50)
    for each in (lost, first) if turned else (first, lost):
        await store.restore([each])
    assert await owner(store) == first.decision
    assert (await store.put_by_fingerprint(IDS, StoredDecision(OTHERS, b"since"))).decision == lost.decision


async def test_published_decision_replaces_a_later_one(store):
    """The later one was written by a worker in the moment between loss and notice, and not published."""
    first = made()
    await store.put_if_absent(IDS, stored(made(ago_s=0)))
    await store.restore([first])
    assert await store.find(IDS) == stored(first)


async def test_intact_store_is_left_alone(store):
    """Also a decision out of which an erasure took links, and one that says no time."""
    first = made()
    unlinked = StoredDecision(OURS, first.decision.replace(b"{", b'{"left":1,', 1))
    for held, name in ((unlinked, "sub-1"), (StoredDecision(OURS, b"{}"), "sub-2")):
        ids = SubmissionIds(submission_id=name, tenant="bank", correlation_id=CORRELATION_ID)
        await store.put_if_absent(ids, held)
        await store.restore([made(ids=ids)])
        assert await store.find(ids) == held


async def test_restored_as_long_as_it_was_kept(on_redis):
    """An expired decision is left out; a time from the future prolongs nothing."""
    several = [made(ids=SubmissionIds(submission_id=f"of-{ago}"), ago_s=ago) for ago in (TTL_S + 1, 1000, -1000)]
    assert await on_redis.store.restore(several) == 2
    client, lives = on_redis.redis.client, []
    for key in await on_redis.redis.keys():
        lives.append(await client.ttl(key))  # noqa: PERF401  # one after the other
    assert sorted(TTL_S - life for life in lives) == [pytest.approx(0, abs=60), pytest.approx(1000, abs=60)]
