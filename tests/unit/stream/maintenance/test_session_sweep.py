"""Sessions in the sweep: expired once, published before they are forgotten about, and again after a crash."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest

from abuse.ledger.ledger import InMemoryLedger
from abuse.store_time import StillTime
from stream.maintenance.sweeper import Sweeper
from stream.sessions.expiry import MOST_AT_ONCE
from stream.sessions.session import END, SessionEnd, SessionState, session_from
from stream.sessions.session_store import InMemorySessionStore, SessionName
from tests.unit.stream.fakes import Away
from tests.unit.stream.json_schema import SESSION_SCHEMA, violations
from tests.unit.stream.maintenance.test_sweeper import EVERY_S, Crash, Topic, sweeper
from tests.unit.stream.runtime import virtual_time
from tests.unit.stream.sessions.builders import session_record

RECORD = session_record()
NAME = SessionName(None, RECORD.session_id)


def sweep_over(store: Any, topic: Any, at_ms: int = RECORD.expires_ms) -> Sweeper:
    made = sweeper(InMemoryLedger(), topic)
    return replace(made, sessions=store, sessions_topic="sessions", time=StillTime(at_ms))


def states(topic: Topic) -> list[str]:
    documents = [orjson.loads(output.value or b"") for output in topic.outputs]
    assert [violations(document, SESSION_SCHEMA) for document in documents] == [[]] * len(documents)
    return [document["state"] for document in documents]


async def test_expired_session_is_published_once():
    store, topic = InMemorySessionStore(), Topic()
    await store.create(RECORD)
    await sweep_over(store, topic, RECORD.expires_ms - 1).sweep()
    assert topic.outputs == []
    for _ in range(2):
        await sweep_over(store, topic).sweep()
    assert states(topic) == ["expired"]
    assert (topic.outputs[0].topic, topic.outputs[0].key) == ("sessions", RECORD.correlation_id.encode())


async def test_sessions_that_cannot_be_read_hold_up_no_other():
    """As many as a sweep looks at, with an outcome of a newer release: the others expire, and the worker lives."""
    store, topic = InMemorySessionStore(), Topic()
    for number in range(1, MOST_AT_ONCE + 3):
        await store.create(session_record(number))
        if number <= MOST_AT_ONCE:
            await store.add(SessionName(None, session_record(number).session_id), {"outcome:1": "of another kind"})
    await sweep_over(store, topic).sweep()
    assert states(topic) == ["expired"] * 2
    assert len(await store.due(RECORD.expires_ms, 999)) == MOST_AT_ONCE, "for a worker that can read them"


@pytest.mark.parametrize("state", [SessionState.SUCCEEDED, SessionState.FAILED, SessionState.CANCELLED])
async def test_session_that_has_ended_is_only_settled(state):
    store, topic = InMemorySessionStore(), Topic()
    await store.create(RECORD)
    await store.add(NAME, {END: SessionEnd(state=state, at_ms=1, cause="c", used=1).to_text()})
    await sweep_over(store, topic).sweep()
    session = session_from(await store.read(NAME))
    assert session is not None
    assert (states(topic), session.state) == ([], state)
    assert await store.due(RECORD.expires_ms, 9) == []


async def test_crash_before_it_is_published():
    """The end stands, and the next sweep publishes the same."""

    class Dying(Topic):
        async def __call__(self, output):
            raise Crash

    store, topic = InMemorySessionStore(), Topic()
    await store.create(RECORD)
    with pytest.raises(Crash):
        await sweep_over(store, Dying()).sweep()
    await sweep_over(store, topic).sweep()
    assert states(topic) == ["expired"]


async def test_grace():
    """Submissions that were sent in time may still be under way."""
    store, topic = InMemorySessionStore(grace_ms=1000), Topic()
    await store.create(RECORD)
    await sweep_over(store, topic, RECORD.expires_ms + 999).sweep()
    assert states(topic) == []
    await sweep_over(store, topic, RECORD.expires_ms + 1000).sweep()
    assert states(topic) == ["expired"]


async def test_store_that_is_away_is_waited_for():
    store, topic = InMemorySessionStore(Away(2, "due")), Topic()
    await store.create(RECORD)
    await sweep_over(store, topic).sweep()
    assert states(topic) == ["expired"]


async def test_many_that_expire_at_once():
    """More than are looked at together, in one sweep."""
    store, topic = InMemorySessionStore(), Topic()
    sessions = [session_record(number) for number in range(2 * MOST_AT_ONCE + 1)]
    for each in sessions:
        await store.create(each)
    await sweep_over(store, topic).sweep()
    assert len({output.value for output in topic.outputs}) == len(topic.outputs) == len(sessions)


def test_sweep_takes_no_longer_than_its_turn():
    """The rest is left to the next sweep, which has a turn of its own."""

    class Slow(Topic):
        async def __call__(self, output):
            await asyncio.sleep(EVERY_S)
            await super().__call__(output)

    async def swept() -> int:
        store, topic = InMemorySessionStore(), Slow()
        for number in range(2 * MOST_AT_ONCE + 1):
            await store.create(session_record(number))
        first = sweep_over(store, topic)
        await first.sweep()
        return len(topic.outputs)

    assert 0 < virtual_time.run(swept()) <= MOST_AT_ONCE
