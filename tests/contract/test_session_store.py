"""Contract of the session store: in memory, on the embedded Redis, a real server, a real cluster."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abuse.event_time import DAY_MS
from abuse.redis_port import ForeignValue
from stream.events.message.session_terms import SessionTerms
from stream.redis.session_store import STRAY_MS, RedisSessionStore
from stream.sessions.gate import SessionTokenGate
from stream.sessions.session import CREATED, session_from
from stream.sessions.session_record import record_from
from stream.sessions.session_store import InMemorySessionStore, SessionName
from tests.contract.redis_servers import PROPERTY, CountedRedis, PortKind
from tests.instants import NOW_MS
from tests.unit.stream.builders import GUID, OTHER_GUID
from tests.unit.stream.sessions.builders import session_record, token_of, tokens
from tests.unit.stream.sessions.test_gate import submission

RETENTION_S = 3600
PORT = PortKind(
    in_memory=InMemorySessionStore, on_redis=lambda calls, prefix: RedisSessionStore(calls, prefix, RETENTION_S)
)
NOW_S = NOW_MS // 1000


def made(number=1, **changes):
    return session_record(number, **{"created_s": NOW_S, "expires_s": NOW_S + 600, **changes})


def name_of(record):
    return SessionName(record.tenant, record.session_id)


def ids(page):
    return [record_from(fields[CREATED]).session_id for fields in page.sessions]


async def test_first_record_stands(held):
    first, second = made(attempts=1), made(attempts=3)
    created = await held.store.create(first)
    assert await held.other_worker.create(second) == created
    assert record_from(created[CREATED]) == first
    assert await held.store.read(name_of(first)) == created


async def test_fields_are_written_once(held):
    record = made()
    await held.store.create(record)
    both = await asyncio.gather(
        held.store.add(name_of(record), {"attempt:1": "a"}), held.other_worker.add(name_of(record), {"attempt:1": "b"})
    )
    assert both[0]["attempt:1"] == both[1]["attempt:1"]
    after = await held.store.add(name_of(record), {"attempt:1": "c", "active": "1"})
    assert (after["attempt:1"], after["active"]) == (both[0]["attempt:1"], "1")
    assert await held.store.read(name_of(record)) == after


async def test_tenants_are_apart(held):
    record = made(tenant="acme")
    await held.store.create(record)
    assert await held.store.read(SessionName(None, record.session_id)) == {}
    assert (await held.store.listed(None, None, limit=9)).sessions == ()
    assert await held.store.held(None, GUID) == 0


async def test_unknown_session_gains_nothing(held):
    record = made()
    assert await held.store.read(name_of(record)) == {}
    assert await held.store.add(name_of(record), {"attempt:1": "a"}) == {}
    assert set(await held.store.create(record)) == {CREATED}


async def test_due_in_their_time_until_settled(held):
    records = [made(number, expires_s=NOW_S + 60 * number, tenant="acme" if number % 2 else None) for number in (1, 2)]
    for record in records:
        await held.store.create(record)
    first, second = map(name_of, records)
    assert await held.store.due(records[0].expires_ms - 1, 99) == []
    assert await held.other_worker.due(records[0].expires_ms, 99) == [first]
    assert set(await held.store.due(records[1].expires_ms, 99)) == {first, second}
    await held.store.settle([first])
    await held.store.settle([first])
    assert await held.store.due(records[1].expires_ms, 99) == [second]


async def test_pages(held):
    """The newest first; several of one second are on no page twice."""
    records = [
        made(number, created_s=NOW_S - number // 3, correlation_id=GUID if number % 2 else OTHER_GUID)
        for number in range(1, 9)
    ]
    for record in records:
        await held.store.create(record)
    newest = sorted(records, key=lambda record: (record.created_s, record.session_id), reverse=True)
    for correlation_id in (None, GUID):
        found, cursor = [], None
        while True:
            page = await held.store.listed(None, correlation_id, limit=2, cursor=cursor)
            found += ids(page)
            cursor = page.next
            if cursor is None:
                break
        assert found == [each.session_id for each in newest if correlation_id in (None, each.correlation_id)]


@pytest.mark.parametrize("cursor", ["", "x", "1", "1-x", "-1-2", "1-2-3"])
async def test_foreign_cursor(held, cursor):
    with pytest.raises(ValueError, match="cursor"):
        await held.store.listed(None, None, limit=1, cursor=cursor)


async def test_erasure_removes_a_correlation_ids_sessions(held):
    mine, others = [made(1), made(2)], made(3, correlation_id=OTHER_GUID)
    for record in (*mine, others):
        await held.store.create(record)
    await held.store.create(made(3))  # under a request token that another correlation id has used
    assert await held.store.held(None, GUID) == 2
    assert await held.store.forget(None, GUID) == 2
    assert await held.store.forget(None, GUID) == 0
    assert [await held.store.read(name_of(record)) for record in mine] == [{}, {}]
    assert ids(await held.store.listed(None, None, limit=9)) == [others.session_id]
    assert await held.store.due(others.expires_ms, 99) == [name_of(others)]


@given(steps=st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(1, 3)), max_size=12))
@PROPERTY
async def test_repeats_change_nothing(held, steps):
    store = held.fresh().store
    record = made()
    await store.create(record)
    for text, number in steps:
        await store.add(name_of(record), {f"outcome:{number}": text})
    once = await store.read(name_of(record))
    first = {}
    for text, number in steps:
        first.setdefault(f"outcome:{number}", text)
    assert {field: text for field, text in once.items() if field != CREATED} == first
    for text, number in steps:
        await store.add(name_of(record), {f"outcome:{number}": text})
    assert await store.read(name_of(record)) == once


async def test_kept_until_retention_is_over(on_redis):
    record = made()
    await on_redis.store.create(record)
    (key,) = [key for key in await on_redis.redis.keys() if ":{" in key and "session:{" in key]
    left = await on_redis.redis.client.pttl(key)
    assert (600 + RETENTION_S - 60) * 1000 < left <= (600 + RETENTION_S) * 1000
    await on_redis.store.add(name_of(record), {"active": "1"})
    assert abs(await on_redis.redis.client.pttl(key) - left) < 60_000
    assert min([await on_redis.redis.client.pttl(key) for key in await on_redis.redis.keys()]) > 0


async def test_restored_session_lives_no_longer(on_redis):
    """A rebuild stores a session of an hour ago: its keys go when they would have gone; a newer one keeps what they
    share."""

    async def lives() -> list[int]:
        return sorted([await on_redis.redis.client.pttl(key) for key in await on_redis.redis.keys()])

    await on_redis.store.create(made(expires_s=NOW_S + 7200), age_ms=3_600_000)
    *_, longest = old = await lives()
    assert (7200 - 3600 + RETENTION_S - 60) * 1000 < old[0] <= (7200 - 3600 + RETENTION_S) * 1000
    assert longest <= DAY_MS + (RETENTION_S - 3600) * 1000
    await on_redis.store.create(made(1, expires_s=NOW_S + 7200))
    assert max(await lives()) > longest
    await on_redis.store.create(made(1, expires_s=NOW_S + 7200), age_ms=3_600_000)
    assert max(await lives()) > longest


async def test_stray_fields_expire(on_redis):
    """A worker that ends before it takes them back leaves them for minutes; a session created meanwhile stays."""
    record = made()
    key = on_redis.redis.key(f"session:{{|{record.session_id}}}")
    await on_redis.redis.client.hset(key, "active", "1")
    await on_redis.redis.client.pexpire(key, STRAY_MS)
    await on_redis.store.create(record)
    assert await on_redis.redis.client.pttl(key) > STRAY_MS


async def test_fresh_session_is_claimed_in_one_round_trip(redis_server):
    counted = CountedRedis(redis_server.connect())
    store = RedisSessionStore(counted, redis_server.prefix, RETENTION_S)
    record = made()
    await store.create(record)
    await store.add(name_of(record), {"attempt:1": "f 1 s"})
    await store.listed(None, None, limit=9)
    assert [len(trips) > 0 for trips in counted.trips] == [True] * 4


async def test_foreign_fields_are_named(on_redis):
    record = made()
    await on_redis.redis.client.set(on_redis.redis.key(f"session:{{|{record.session_id}}}"), "x")
    with pytest.raises(ForeignValue, match="session:"):
        await on_redis.store.read(name_of(record))


def test_session_of_no_worker():
    with pytest.raises(ValueError, match="validation error"):
        session_from({CREATED: "{}"})


@pytest.mark.parametrize("allowed", [1, 3])
async def test_attempts_taken_at_once(held, allowed):
    """By two workers, each submission by both of them: as many as allowed, each submission with one attempt."""
    record = made(attempts=allowed)
    await held.store.create(record)
    gates = [SessionTokenGate(store=store, tokens=tokens()) for store in (held.store, held.other_worker)]
    token = token_of(record)
    sent = [replace(submission(number, token=token), appended_at_ms=NOW_MS) for number in range(1, 9) for _ in gates]
    answers = await asyncio.gather(
        *(gate.admit(each, required=True) for each, gate in zip(sent, cycle(gates), strict=False))
    )
    attempts: dict[str, set[int]] = {}
    for each, answer in zip(sent, answers, strict=True):
        if isinstance(answer, SessionTerms):
            attempts.setdefault(each.ids.submission_id, set()).add(answer.attempt)
    assert sorted(attempt for taken in attempts.values() for attempt in taken) == list(range(1, allowed + 1))
    again = [await gates[1].admit(each, required=True) for each in sent]
    assert again == answers
