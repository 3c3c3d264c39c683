"""Turns of the sweepers on Redis: one worker at a time, the next once that worker stays away."""

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


async def test_first_worker_has_the_turn(turns):
    """Asking again extends the turn; a refusal does not."""
    for for_ms in (60_000, LONG_MS):
        assert await turns.one.take_turn("one", for_ms)
        assert not await turns.other.take_turn("other", 2 * LONG_MS)
        (left_ms,) = await turns.calls.execute([("PTTL", turns.key)])
        assert for_ms - 60_000 < left_ms <= for_ms


async def test_one_of_many_has_the_turn(turns):
    asked = [(turns.one, turns.other)[n % 2].take_turn(f"worker-{n}", LONG_MS) for n in range(10)]
    assert sum(await asyncio.gather(*asked)) == 1


async def test_absent_worker_loses_the_turn(turns):
    assert await turns.one.take_turn("one", SHORT_MS)
    async with asyncio.timeout(WITHIN_S):
        while not await turns.other.take_turn("other", LONG_MS):
            pass
    assert not await turns.one.take_turn("one", LONG_MS)
