"""Turns of the sweepers, as Redis gives them: one worker at a time, the next once it stays away."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from abuse.ledger.redis_ledger import RedisLedger
from abuse.redis_port import RedisClient
from tests.contract.redis_servers import RedisServer

TTL_S = 86_400
LONG_MS, SHORT_MS = 600_000, 200
WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Turns:
    one: RedisLedger
    other: RedisLedger
    calls: RedisClient
    key: str


@pytest.fixture
def turns(redis_server: RedisServer) -> Turns:
    one, other = (RedisLedger(calls, redis_server.prefix, TTL_S) for calls in redis_server.workers(2))
    return Turns(one, other, redis_server.connect(), redis_server.key("abuse:turn"))


async def test_whoever_comes_first_has_the_turn_until_it_is_over(turns):
    assert await turns.one.take_turn("one", LONG_MS)
    assert not await turns.other.take_turn("other", LONG_MS)
    assert await turns.one.take_turn("one", LONG_MS)
    assert not await turns.other.take_turn("other", LONG_MS)


async def test_asking_again_makes_the_turn_last_from_then_on(turns):
    await turns.one.take_turn("one", 60_000)
    await turns.one.take_turn("one", LONG_MS)
    (left_ms,) = await turns.calls.execute([("PTTL", turns.key)])
    assert LONG_MS - 60_000 < left_ms <= LONG_MS


async def test_being_refused_does_not_make_anothers_turn_last_longer(turns):
    await turns.one.take_turn("one", 60_000)
    await turns.other.take_turn("other", LONG_MS)
    (left_ms,) = await turns.calls.execute([("PTTL", turns.key)])
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
