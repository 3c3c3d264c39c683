"""Turns of the sweepers, as Redis gives them: one worker at a time, the next once it stays away."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from abuse.redis_ledger import RedisLedger
from abuse.redis_port import Calls
from config.settings import RedisSettings
from stream.embedded.store import EmbeddedStore
from stream.redis_calls import connect

TTL_S = 86_400
LONG_MS, SHORT_MS = 600_000, 200
WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Turns:
    one: RedisLedger
    other: RedisLedger
    calls: Calls
    key: str


@pytest.fixture(
    params=[
        "embedded",
        pytest.param("redis", marks=pytest.mark.real),
        pytest.param("cluster", marks=pytest.mark.local_services),
    ]
)
async def turns(request: pytest.FixtureRequest) -> AsyncIterator[Turns]:
    embedded = EmbeddedStore() if request.param == "embedded" else None
    if embedded is not None:
        url = embedded.url
    elif request.param == "cluster":
        url = request.getfixturevalue("redis_cluster").url
    else:
        url = request.getfixturevalue("services").environment["LIVENESS_REDIS__URL"]
    settings = RedisSettings(url=url, call_timeout_s=20, cluster=request.param == "cluster")
    prefix, ways = f"contract-{uuid.uuid4().hex}:", [connect(settings) for _ in range(2)]
    key = f"{prefix}abuse:turn"
    yield Turns(*(RedisLedger(calls, prefix, TTL_S) for calls in ways), ways[0], key)
    await ways[0].round_trip([("UNLINK", key)])
    for calls in ways:
        await calls.close()
    if embedded is not None:
        embedded.close()


async def test_whoever_comes_first_has_the_turn_until_it_is_over(turns):
    assert await turns.one.take_turn("one", LONG_MS)
    assert not await turns.other.take_turn("other", LONG_MS)
    assert await turns.one.take_turn("one", LONG_MS)
    assert not await turns.other.take_turn("other", LONG_MS)


async def test_asking_again_makes_the_turn_last_from_then_on(turns):
    await turns.one.take_turn("one", 60_000)
    await turns.one.take_turn("one", LONG_MS)
    (left_ms,) = await turns.calls.round_trip([("PTTL", turns.key)])
    assert LONG_MS - 60_000 < left_ms <= LONG_MS


async def test_being_refused_does_not_make_anothers_turn_last_longer(turns):
    await turns.one.take_turn("one", 60_000)
    await turns.other.take_turn("other", LONG_MS)
    (left_ms,) = await turns.calls.round_trip([("PTTL", turns.key)])
    assert left_ms <= 60_000


async def test_of_many_at_once_one_has_the_turn(turns):
    asked = [(turns.one, turns.other)[n % 2].take_turn(f"worker-{n}", LONG_MS) for n in range(10)]
    assert sum(await asyncio.gather(*asked)) == 1


async def test_a_worker_that_stays_away_loses_its_turn(turns):
    assert await turns.one.take_turn("one", SHORT_MS)
    async with asyncio.timeout(WITHIN_S):
        while not await turns.other.take_turn("other", LONG_MS):
            pass
    assert not await turns.one.take_turn("one", LONG_MS)
