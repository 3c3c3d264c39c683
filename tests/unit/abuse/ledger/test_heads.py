"""Heads of flag events: a table that changes between the look at its names and at its texts, and what is remembered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from abuse.flags.flag_events import cleared_field
from abuse.flags.flag_heads import REMEMBERED_S, HeadMemory
from abuse.ledger.redis_ledger import RedisLedger
from abuse.redis_port import Command, Reply
from abuse.subjects import correlation
from config.groups.services import RedisSettings
from stream.redis.client import connect
from tests.unit.abuse.builders import DAY_S, at_ms, guid, seen

ME = correlation(guid(1))


class _Interrupted:
    """Calls of a worker; what others do, `meanwhile`, comes once before texts of events are read."""

    def __init__(self, calls) -> None:
        self._calls = calls
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        if self.meanwhile is not None and commands and commands[0][0] == "HGET":
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        replies: list[Reply] = await self._calls.execute(commands)
        return replies


@pytest.fixture
async def calls(empty_redis: str) -> AsyncIterator:
    client = connect(RedisSettings(url=empty_redis, call_timeout_s=10), 4)
    yield client
    await client.close()


@pytest.mark.parametrize("ask", ["gate", "observation"])
async def test_cleared_anew_while_it_is_read(calls, ask):
    """Of two clearings the earlier is removed: a reader of both must see one."""
    reviewer, interrupted = RedisLedger(calls, "heads:", DAY_S), _Interrupted(calls)
    worker = RedisLedger(interrupted, "heads:", DAY_S)
    await reviewer.clear(None, ME, *cleared_field("first", at_ms(1)))
    interrupted.meanwhile = lambda: reviewer.clear(None, ME, *cleared_field("second", at_ms(2)))
    if ask == "gate":
        known = await worker.read_heads(None, [ME])
    else:
        known = await worker.observe(seen(1, 0, correlation_id=ME.key))
    assert (known.histories[0].cleared_at_ms, interrupted.meanwhile) == (at_ms(2), None)


async def test_erased_while_it_is_read(calls):
    reviewer, interrupted = RedisLedger(calls, "heads:", DAY_S), _Interrupted(calls)
    await reviewer.clear(None, ME, *cleared_field("first", at_ms(1)))

    async def erase() -> None:
        await calls.execute([("DEL", key) for key in reviewer._keys.all_flags(None, ME)])

    interrupted.meanwhile = erase
    known = await RedisLedger(interrupted, "heads:", DAY_S).read_heads(None, [ME])
    assert known.histories[0].fields == {}


def test_nothing_is_remembered_longer():
    """An erasure doesn't reach a worker's memory: what was read goes by itself, once anything is asked for."""
    now = [0.0]
    memory = HeadMemory(clock=lambda: now[0])
    memory.put("of Ada", "fl_1 level 1", "text")
    now[0] = REMEMBERED_S / 2
    memory.put("of Bob", "fl_2 level 1", "other")
    assert memory.get("of Ada", "fl_1 level 1") == "text"
    now[0] = REMEMBERED_S
    assert memory.get("of Bob", "fl_2 level 1") == "other"
    assert list(memory._held) == [("of Bob", "fl_2 level 1")]
