"""One suite for every decision store: in memory, on the embedded store over TCP, on a real Redis and a real cluster."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import redis.asyncio as redis

from abuse.redis_port import Calls, ForeignValue
from config.settings import RedisSettings
from stream.decision_store import DecisionStore, InMemoryDecisionStore, StoredDecision
from stream.embedded.store import EmbeddedStore
from stream.messages import SubmissionIds
from stream.redis_calls import connect
from stream.redis_decision_store import RedisDecisionStore

TTL_S = 3600
IDS = SubmissionIds(submission_id="sub-1")


@dataclass(frozen=True, slots=True)
class Subject:
    """A store, another one over the same state, and where there is one, what is beneath: the way the store goes,
    a client to look behind it, the prefix."""

    store: DecisionStore
    other_worker: DecisionStore
    calls: Calls | None = None
    client: redis.Redis | redis.RedisCluster | None = None
    prefix: str = ""


REAL = pytest.param("redis", marks=pytest.mark.real)
CLUSTER = pytest.param("cluster", marks=pytest.mark.local_services)


@pytest.fixture(params=["memory", "embedded", REAL, CLUSTER])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "memory":
        store = InMemoryDecisionStore()
        yield Subject(store, store)
    else:
        async with over_redis(request) as made:
            yield made


@pytest.fixture(params=["embedded", REAL, CLUSTER])
async def beneath(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    async with over_redis(request) as made:
        yield made


@asynccontextmanager
async def over_redis(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    embedded = EmbeddedStore() if request.param == "embedded" else None
    cluster = request.param == "cluster"
    if embedded is not None:
        url = embedded.url
    elif cluster:
        url = request.getfixturevalue("redis_cluster").url
    else:
        url = request.getfixturevalue("services").environment["LIVENESS_REDIS__URL"]
    prefix = f"contract-{uuid.uuid4().hex}:"
    ways = [connect(RedisSettings(url=url, call_timeout_s=10, cluster=cluster)) for _ in range(2)]
    stores = [RedisDecisionStore(calls, prefix, TTL_S) for calls in ways]
    client = (redis.RedisCluster if cluster else redis.Redis).from_url(url)
    yield Subject(stores[0], stores[1], ways[0], client, prefix)
    if embedded is None:
        await clean_up(client, prefix)
    await client.aclose()
    for store in stores:
        await store.close()
    if embedded is not None:
        embedded.close()


async def clean_up(client: redis.Redis | redis.RedisCluster, prefix: str) -> None:
    async for key in client.scan_iter(match=f"{prefix}*"):
        await client.unlink(key)


@pytest.fixture
def store(subject: Subject) -> DecisionStore:
    return subject.store


def decided(mark: str = "a", decision: bytes = b'{"a": 1}') -> StoredDecision:
    return StoredDecision(mark * 32, decision)


async def test_an_unknown_submission_has_no_decision(store):
    assert await store.find(IDS) is None


async def test_what_was_kept_is_found(store):
    assert await store.keep_first(IDS, decided()) == decided()
    assert await store.find(IDS) == decided()


@pytest.mark.parametrize("value", [b"{}", b"\x00\xff\r\n$-1\r\n", bytes(range(256)) * 64])
async def test_decisions_are_bytes_of_any_kind(store, value):
    await store.keep_first(IDS, decided(decision=value))
    assert await store.find(IDS) == decided(decision=value)


async def test_the_first_writer_wins(store):
    first, second = decided(decision=b"first"), decided(decision=b"second")
    assert await store.keep_first(IDS, first) == first
    assert await store.keep_first(IDS, second) == first
    assert await store.find(IDS) == first


async def test_the_owner_is_told_to_other_content_too(store):
    await store.keep_first(IDS, decided("a"))
    assert await store.keep_first(IDS, decided("b")) == decided("a")
    assert await store.find(IDS) == decided("a")


async def test_a_command_sent_again_answers_the_same(store):
    ours = decided()
    assert [await store.keep_first(IDS, ours) for _ in range(3)] == [ours] * 3
    assert [await store.keep_mismatch(IDS, decided("b")) for _ in range(3)] == [decided("b")] * 3


async def test_many_writers_at_once_agree(subject):
    offers = [decided(f"{number % 10}", f"{number}".encode()) for number in range(80)]
    stores = [subject.store, subject.other_worker]
    answers = await asyncio.gather(*(stores[number % 2].keep_first(IDS, offer) for number, offer in enumerate(offers)))
    assert set(answers) == {answers[0]}
    assert answers[0] in offers
    assert await subject.other_worker.find(IDS) == answers[0]


async def test_a_mismatch_is_kept_apart_and_stays(store):
    await store.keep_first(IDS, decided("a", b"owner"))
    assert await store.keep_mismatch(IDS, decided("b", b"one")) == decided("b", b"one")
    assert await store.keep_mismatch(IDS, decided("b", b"later")) == decided("b", b"one")
    assert await store.keep_mismatch(IDS, decided("c", b"other")) == decided("c", b"other")
    assert await store.find(IDS) == decided("a", b"owner")


async def test_many_mismatches_at_once_agree(subject):
    offers = [decided("b", f"{number}".encode()) for number in range(40)]
    stores = [subject.store, subject.other_worker]
    answers = await asyncio.gather(
        *(stores[number % 2].keep_mismatch(IDS, offer) for number, offer in enumerate(offers))
    )
    assert set(answers) == {answers[0]}
    assert await subject.store.find(IDS) is None


async def test_a_mismatch_owns_nothing(store):
    await store.keep_mismatch(IDS, decided("b"))
    assert await store.keep_first(IDS, decided("a")) == decided("a")


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
        await store.keep_first(ids, decided(decision=str(number).encode()))
        await store.keep_mismatch(ids, decided("b", f"other {number}".encode()))
    for number, ids in enumerate(APART):
        assert await store.find(ids) == decided(decision=str(number).encode())
        assert await store.keep_mismatch(ids, decided("b")) == decided("b", f"other {number}".encode())


async def test_only_tenant_and_submission_id_make_the_owner(store):
    await store.keep_first(IDS, decided())
    same = SubmissionIds(submission_id="sub-1", correlation_id="c", session_id="s", resource_id="r")
    assert await store.find(same) == decided()


async def test_it_answers_a_ping(store):
    await store.ping()


async def all_keys(beneath: Subject) -> list[bytes]:
    assert beneath.client is not None
    return sorted([key async for key in beneath.client.scan_iter(match=f"{beneath.prefix}*")])


Keep = Callable[[DecisionStore], object]


async def test_everything_expires_and_a_repeat_does_not_prolong_it(beneath):
    await beneath.store.keep_first(IDS, decided())
    await beneath.store.keep_mismatch(IDS, decided("b"))
    keys = await all_keys(beneath)
    assert len(keys) == 2
    for key in keys:
        assert TTL_S - 60 < await beneath.client.ttl(key) <= TTL_S
        await beneath.client.expire(key, 100)
    await beneath.store.keep_first(IDS, decided())
    await beneath.store.keep_mismatch(IDS, decided("b"))
    for key in keys:
        assert await beneath.client.ttl(key) <= 100


async def test_an_expired_decision_is_gone(beneath):
    await beneath.store.keep_first(IDS, decided("a"))
    (key,) = await all_keys(beneath)
    await beneath.client.pexpire(key, 1)
    async with asyncio.timeout(10):
        while await beneath.store.find(IDS) is not None:  # noqa: ASYNC110  # Redis tells nobody of an expiry
            await asyncio.sleep(0)
    assert await beneath.store.keep_first(IDS, decided("b")) == decided("b")


async def test_keys_hold_no_id_and_share_one_hash_tag(beneath):
    ids = SubmissionIds(submission_id="somebody@example.org", tenant="bank-1")
    await beneath.store.keep_first(ids, decided())
    await beneath.store.keep_mismatch(ids, decided("b"))
    keys = [key.decode() for key in await all_keys(beneath)]
    assert not any("example" in key or "bank" in key for key in keys)
    assert len({key.split("{")[1].split("}")[0] for key in keys}) == 1


@pytest.mark.parametrize("call", [
    lambda store: store.find(IDS),
    lambda store: store.keep_first(IDS, decided()),
])  # fmt: skip
async def test_a_key_of_another_kind_is_loud(beneath, call: Keep):
    await beneath.store.keep_first(IDS, decided())
    (key,) = await all_keys(beneath)
    await beneath.client.delete(key)
    await beneath.client.lpush(key, b"somebody else's")
    with pytest.raises(ForeignValue, match="delete it"):
        await call(beneath.store)


@pytest.mark.parametrize("value", [b"", b"OK", b"a" * 32, "é".encode() * 40])
async def test_a_value_that_is_no_decision_is_loud(beneath, value):
    await beneath.store.keep_first(IDS, decided())
    (key,) = await all_keys(beneath)
    await beneath.client.set(key, value)
    with pytest.raises(ForeignValue, match="delete it"):
        await beneath.store.find(IDS)


async def test_installations_with_other_prefixes_never_meet(beneath):
    stranger = RedisDecisionStore(beneath.calls, f"{beneath.prefix}other:", TTL_S)
    await beneath.store.keep_first(IDS, decided("a"))
    assert await stranger.find(IDS) is None
    assert await stranger.keep_first(IDS, decided("b")) == decided("b")
    assert await beneath.store.find(IDS) == decided("a")
