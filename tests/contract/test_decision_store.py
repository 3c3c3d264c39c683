"""The contract of decision stores: in memory, on the embedded Redis, a real one and a real cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from abuse.redis_port import ForeignValue
from stream.events.ids import SubmissionIds
from stream.pipeline.decision_store import DecisionStore, InMemoryDecisionStore, StoredDecision
from stream.redis.decision_store import RedisDecisionStore
from tests.contract.redis_servers import RedisServer

TTL_S = 3600
IDS = SubmissionIds(submission_id="sub-1")


@dataclass(frozen=True, slots=True)
class Subject:
    """A store, another worker's over the same state, and where there is one, the server."""

    store: DecisionStore
    other_worker: DecisionStore
    redis: RedisServer | None = None


def over(redis: RedisServer) -> Subject:
    return Subject(*(RedisDecisionStore(calls, redis.prefix, TTL_S) for calls in redis.workers(2)), redis)


@pytest.fixture
def subject(any_redis: RedisServer | None) -> Subject:
    if any_redis is not None:
        return over(any_redis)
    store = InMemoryDecisionStore()
    return Subject(store, store)


@pytest.fixture
def on_redis(redis_server: RedisServer) -> Subject:
    return over(redis_server)


@pytest.fixture
def store(subject: Subject) -> DecisionStore:
    return subject.store


def decided(mark: str = "a", decision: bytes = b'{"a": 1}') -> StoredDecision:
    return StoredDecision(mark * 32, decision)


async def test_an_unknown_submission_has_no_decision(store):
    assert await store.find(IDS) is None


async def test_what_was_kept_is_found(store):
    assert await store.put_if_absent(IDS, decided()) == decided()
    assert await store.find(IDS) == decided()


@pytest.mark.parametrize("value", [b"{}", b"\x00\xff\r\n$-1\r\n", bytes(range(256)) * 64])
async def test_decisions_are_bytes_of_any_kind(store, value):
    await store.put_if_absent(IDS, decided(decision=value))
    assert await store.find(IDS) == decided(decision=value)


async def test_the_first_writer_wins(store):
    first, second = decided(decision=b"first"), decided(decision=b"second")
    assert await store.put_if_absent(IDS, first) == first
    assert await store.put_if_absent(IDS, second) == first
    assert await store.find(IDS) == first


async def test_the_owner_is_told_to_other_content_too(store):
    await store.put_if_absent(IDS, decided("a"))
    assert await store.put_if_absent(IDS, decided("b")) == decided("a")
    assert await store.find(IDS) == decided("a")


async def test_a_command_sent_again_answers_the_same(store):
    ours = decided()
    assert [await store.put_if_absent(IDS, ours) for _ in range(3)] == [ours] * 3
    assert [await store.put_by_fingerprint(IDS, decided("b")) for _ in range(3)] == [decided("b")] * 3


async def test_many_writers_at_once_agree(subject):
    offers = [decided(f"{number % 10}", f"{number}".encode()) for number in range(80)]
    stores = [subject.store, subject.other_worker]
    answers = await asyncio.gather(
        *(stores[number % 2].put_if_absent(IDS, offer) for number, offer in enumerate(offers))
    )
    assert set(answers) == {answers[0]}
    assert answers[0] in offers
    assert await subject.other_worker.find(IDS) == answers[0]


async def test_a_mismatch_is_kept_apart_and_stays(store):
    await store.put_if_absent(IDS, decided("a", b"owner"))
    assert await store.put_by_fingerprint(IDS, decided("b", b"one")) == decided("b", b"one")
    assert await store.put_by_fingerprint(IDS, decided("b", b"later")) == decided("b", b"one")
    assert await store.put_by_fingerprint(IDS, decided("c", b"other")) == decided("c", b"other")
    assert await store.find(IDS) == decided("a", b"owner")


async def test_many_mismatches_at_once_agree(subject):
    offers = [decided("b", f"{number}".encode()) for number in range(40)]
    stores = [subject.store, subject.other_worker]
    answers = await asyncio.gather(
        *(stores[number % 2].put_by_fingerprint(IDS, offer) for number, offer in enumerate(offers))
    )
    assert set(answers) == {answers[0]}
    assert await subject.store.find(IDS) is None


async def test_a_mismatch_owns_nothing(store):
    await store.put_by_fingerprint(IDS, decided("b"))
    assert await store.put_if_absent(IDS, decided("a")) == decided("a")


APART = [
    SubmissionIds(submission_id="a"),
    SubmissionIds(submission_id="a", tenant="b"),
    SubmissionIds(submission_id="b", tenant="a"),
    SubmissionIds(submission_id="ab"),
    SubmissionIds(submission_id="A"),
    SubmissionIds(submission_id="a\x00b"),
    SubmissionIds(submission_id="b\x00c", tenant="a"),
    SubmissionIds(submission_id="c", tenant="a\x00b"),
    SubmissionIds(submission_id="}:{"),
    SubmissionIds(submission_id="*"),
    SubmissionIds(submission_id="a:other:" + "b" * 32),
    SubmissionIds(submission_id='","'),
    SubmissionIds(submission_id="x", tenant='","'),
    SubmissionIds(submission_id="x" * 128),
    SubmissionIds(submission_id="é"),
    SubmissionIds(submission_id="e\u0301"),
]


async def test_ids_of_any_spelling_and_tenant_are_kept_apart(store):
    for number, ids in enumerate(APART):
        await store.put_if_absent(ids, decided(decision=str(number).encode()))
        await store.put_by_fingerprint(ids, decided("b", f"other {number}".encode()))
    for number, ids in enumerate(APART):
        assert await store.find(ids) == decided(decision=str(number).encode())
        assert await store.put_by_fingerprint(ids, decided("b")) == decided("b", f"other {number}".encode())


async def test_only_tenant_and_submission_id_make_the_owner(store):
    await store.put_if_absent(IDS, decided())
    same = SubmissionIds(submission_id="sub-1", correlation_id="c", session_id="s", resource_id="r")
    assert await store.find(same) == decided()


async def test_it_answers_a_ping(store):
    await store.ping()


Keep = Callable[[DecisionStore], object]


async def test_everything_expires_and_a_repeat_does_not_prolong_it(on_redis):
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


async def test_an_expired_decision_is_gone(on_redis):
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


@pytest.mark.parametrize("call", [
    lambda store: store.find(IDS),
    lambda store: store.put_if_absent(IDS, decided()),
])  # fmt: skip
async def test_a_key_of_another_kind_is_loud(on_redis, call: Keep):
    await on_redis.store.put_if_absent(IDS, decided())
    (key,) = await on_redis.redis.keys()
    await on_redis.redis.client.delete(key)
    await on_redis.redis.client.lpush(key, b"somebody else's")
    with pytest.raises(ForeignValue, match="delete it"):
        await call(on_redis.store)


@pytest.mark.parametrize("value", [b"", b"OK", b"a" * 32, "é".encode() * 40])
async def test_a_value_that_is_no_decision_is_loud(on_redis, value):
    await on_redis.store.put_if_absent(IDS, decided())
    (key,) = await on_redis.redis.keys()
    await on_redis.redis.client.set(key, value)
    with pytest.raises(ForeignValue, match="delete it"):
        await on_redis.store.find(IDS)


async def test_installations_with_other_prefixes_never_meet(on_redis):
    stranger = RedisDecisionStore(on_redis.redis.connect(), on_redis.redis.key("other:"), TTL_S)
    await on_redis.store.put_if_absent(IDS, decided("a"))
    assert await stranger.find(IDS) is None
    assert await stranger.put_if_absent(IDS, decided("b")) == decided("b")
    assert await on_redis.store.find(IDS) == decided("a")
