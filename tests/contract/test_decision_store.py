"""The contract of decision stores: in memory, on the embedded Redis, a real one and a real cluster."""

from __future__ import annotations

import asyncio

import pytest

from abuse.redis_port import ForeignValue
from stream.events.message.ids import SubmissionIds
from stream.pipeline.decision_store import DecisionStore, InMemoryDecisionStore, StoredDecision
from stream.redis.decision_store import RedisDecisionStore
from tests.contract.redis_servers import Held, PortKind

TTL_S = 3600
IDS = SubmissionIds(submission_id="sub-1")


PORT = PortKind(
    in_memory=InMemoryDecisionStore, on_redis=lambda calls, prefix: RedisDecisionStore(calls, prefix, TTL_S)
)


@pytest.fixture
def store(held: Held) -> DecisionStore:
    return held.store


def decided(mark: str = "a", decision: bytes = b'{"a": 1}') -> StoredDecision:
    return StoredDecision(mark * 32, decision)


@pytest.mark.parametrize("value", [b"{}", b"\x00\xff\r\n$-1\r\n", bytes(range(256)) * 64])
async def test_stored_decision_is_found(store, value):
    await store.ping()
    assert await store.find(IDS) is None
    assert await store.put_if_absent(IDS, decided(decision=value)) == decided(decision=value)
    assert await store.find(IDS) == decided(decision=value)


@pytest.mark.parametrize("second", [decided(decision=b"second"), decided("b"), decided(decision=b"first")])
async def test_first_writer_wins(store, second):
    """The second may be another decision, other content or the same again."""
    first = decided(decision=b"first")
    assert await store.put_if_absent(IDS, first) == first
    assert [await store.put_if_absent(IDS, second) for _ in range(2)] == [first, first]
    assert await store.find(IDS) == first


@pytest.mark.parametrize("put", ["put_if_absent", "put_by_fingerprint"])
async def test_simultaneous_writers_agree(held, put):
    offers = [decided("b", f"{number}".encode()) for number in range(80)]
    stores = [getattr(held.store, put), getattr(held.other_worker, put)]
    answers = await asyncio.gather(*(stores[number % 2](IDS, offer) for number, offer in enumerate(offers)))
    assert set(answers) == {answers[0]}
    assert answers[0] in offers
    assert await held.other_worker.find(IDS) == (answers[0] if put == "put_if_absent" else None)


async def test_mismatch_stays_apart_and_owns_nothing(store):
    assert await store.put_by_fingerprint(IDS, decided("b", b"one")) == decided("b", b"one")
    assert await store.put_if_absent(IDS, decided("a", b"owner")) == decided("a", b"owner")
    assert await store.put_by_fingerprint(IDS, decided("b", b"later")) == decided("b", b"one")
    assert await store.put_by_fingerprint(IDS, decided("c", b"other")) == decided("c", b"other")
    assert await store.find(IDS) == decided("a", b"owner")


NAMES = ("a", "ab", "A", "a\x00b", "}:{", "*", "a:other:" + "b" * 32, '","', "x" * 128, "é", "e\u0301")
IN_TENANTS = (("a", "b"), ("b", "a"), ("b\x00c", "a"), ("c", "a\x00b"), ("x", '","'))
APART = [
    *(SubmissionIds(submission_id=name) for name in NAMES),
    *(SubmissionIds(submission_id=name, tenant=tenant) for name, tenant in IN_TENANTS),
]


async def test_ids_and_tenants_are_apart(store):
    for number, ids in enumerate(APART):
        await store.put_if_absent(ids, decided(decision=str(number).encode()))
        await store.put_by_fingerprint(ids, decided("b", f"other {number}".encode()))
    for number, ids in enumerate(APART):
        assert await store.find(ids) == decided(decision=str(number).encode())
        assert await store.put_by_fingerprint(ids, decided("b")) == decided("b", f"other {number}".encode())


async def test_tenant_and_submission_id_are_the_owner(store):
    await store.put_if_absent(IDS, decided())
    same = SubmissionIds(submission_id="sub-1", correlation_id="c", session_id="s", resource_id="r")
    assert await store.find(same) == decided()


async def test_repeats_prolong_nothing(on_redis):
    await on_redis.store.put_if_absent(IDS, decided())
    await on_redis.store.put_by_fingerprint(IDS, decided("b"))
    keys = await on_redis.redis.keys()
    assert len(keys) == 2
    for key in keys:
        assert TTL_S - 60 < await on_redis.redis.client.ttl(key) <= TTL_S
        await on_redis.redis.client.expire(key, 100)
    await on_redis.store.put_if_absent(IDS, decided())
    await on_redis.store.put_by_fingerprint(IDS, decided("b"))
    for key in keys:
        assert await on_redis.redis.client.ttl(key) <= 100


async def test_expired_decision_is_gone(on_redis):
    await on_redis.store.put_if_absent(IDS, decided("a"))
    (key,) = await on_redis.redis.keys()
    await on_redis.redis.client.pexpire(key, 1)
    async with asyncio.timeout(10):
        while await on_redis.store.find(IDS) is not None:  # noqa: ASYNC110  # Redis tells nobody of an expiry
            await asyncio.sleep(0)
    assert await on_redis.store.put_if_absent(IDS, decided("b")) == decided("b")


async def test_keys_hold_no_id_and_share_one_hash_tag(on_redis):
    ids = SubmissionIds(submission_id="somebody@example.org", tenant="bank-1")
    await on_redis.store.put_if_absent(ids, decided())
    await on_redis.store.put_by_fingerprint(ids, decided("b"))
    keys = await on_redis.redis.keys()
    assert not any("example" in key or "bank" in key for key in keys)
    assert len({key.split("{")[1].split("}")[0] for key in keys}) == 1


async def test_foreign_value_is_loud(on_redis):
    store, client = on_redis.store, on_redis.redis.client
    await store.put_if_absent(IDS, decided())
    (key,) = await on_redis.redis.keys()
    for value in (b"", b"OK", b"a" * 32, "é".encode() * 40):
        await client.set(key, value)
        with pytest.raises(ForeignValue, match="delete it"):
            await store.find(IDS)
    await client.delete(key)
    await client.lpush(key, b"somebody else's")
    for call in (store.find(IDS), store.put_if_absent(IDS, decided())):
        with pytest.raises(ForeignValue, match="delete it"):
            await call


async def test_prefixes_keep_installations_apart(on_redis):
    stranger = RedisDecisionStore(on_redis.redis.connect(), on_redis.redis.key("other:"), TTL_S)
    await on_redis.store.put_if_absent(IDS, decided("a"))
    assert await stranger.find(IDS) is None
    assert await stranger.put_if_absent(IDS, decided("b")) == decided("b")
    assert await on_redis.store.find(IDS) == decided("a")
