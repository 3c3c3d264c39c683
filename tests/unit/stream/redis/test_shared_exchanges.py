"""Calls of one turn of the event loop share an exchange, and nothing but the exchange."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from abuse.redis_port import ForeignValue
from config.errors import Unavailable
from config.groups.services import RedisSettings
from stream.redis.client import SingleServerClient
from stream.redis.node import FULL, Node, TimedClient, connection_options
from tests.unit.stream.redis.scripted_redis import HANG_UP
from tests.unit.stream.redis.test_cluster import HIGH, LOW, pair


class _CountedNode(Node):
    """Node that counts the commands of each exchange."""

    def __init__(self, options) -> None:
        super().__init__(options)
        self.sizes: list[int] = []

    async def exchange(self, commands):
        self.sizes.append(len(commands))
        return await super().exchange(commands)


@pytest.fixture
async def node(embedded_redis) -> AsyncIterator[_CountedNode]:
    counted = _CountedNode(connection_options(RedisSettings(url=embedded_redis.url, call_timeout_s=10)))
    yield counted
    await counted.close()


@pytest.fixture
def calls(node) -> TimedClient:
    return SingleServerClient(node, 10, 4)


async def test_one_exchange_in_order(calls, node):
    """Each call gets its own replies, and commands are carried out in the order of the calls."""
    told = await asyncio.gather(
        calls.execute([("SET", "shared:a", "1"), ("GET", "shared:a")]),
        calls.execute([]),
        calls.execute([("INCR", "shared:a")]),
        calls.execute([("GET", "shared:a"), ("DEL", "shared:a")]),
    )
    assert (told, node.sizes) == ([[b"OK", b"1"], [], [2], [b"2", 1]], [5])


async def test_fault_of_one_call_is_its_own(calls, node):
    await calls.execute([("SET", "shared:text", "x")])
    told = await asyncio.gather(
        calls.execute([("GET", "shared:text")]),
        calls.execute([("ZADD", "shared:text", 1, "member")]),
        calls.execute([("DEL", "shared:text")]),
        return_exceptions=True,
    )
    assert (told[0], type(told[1]), told[2], node.sizes[1:]) == ([b"x"], ForeignValue, [1], [3])


async def test_caller_that_gives_up_ends_nobody_elses_call(calls, node):
    one, other = (asyncio.create_task(calls.execute([("INCR", "shared:n")])) for _ in range(2))
    while not node.sizes:  # noqa: ASYNC110  # the very turn in which it is sent
        await asyncio.sleep(0)
    one.cancel()
    assert await other == [2], "carried out all the same: what was sent may have arrived"
    await calls.execute([("DEL", "shared:n")])
    assert len(node.sizes) == 2


async def test_fault_of_the_connection_is_told_to_all(calls, node):
    await node.close()
    node._options["path"] = "/nowhere/redis.sock"
    told = await asyncio.gather(*(calls.execute([("GET", "a")]) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in told] == [Unavailable] * 3


async def test_call_that_cannot_be_sent(calls):
    """A text that no encoding has ends its own call only."""
    commands = [("GET", "shared:none"), ("GET", "\ud800"), ("GET", "shared:none")]
    told = await asyncio.gather(*(calls.execute([each]) for each in commands), return_exceptions=True)
    assert (told[0], type(told[1]), told[2]) == ([None], UnicodeEncodeError, [None])


@pytest.mark.parametrize("silent", [False, True])
async def test_node_that_is_away_ends_only_calls_that_need_it(silent):
    async with pair(low=lambda _: None if silent else HANG_UP) as nodes:
        nodes.use(call_timeout_s=0.5)
        keys = [HIGH, LOW, HIGH]
        told = await asyncio.gather(*(nodes.calls.execute([("GET", key)]) for key in keys), return_exceptions=True)
        assert (told[0], type(told[1]), told[2]) == ([b"near"], Unavailable, [b"near"])


async def test_large_calls_are_sent_apart(calls, node):
    await asyncio.gather(*(calls.execute([("GET", "a")] * FULL) for _ in range(2)), calls.execute([("GET", "a")]))
    assert node.sizes == [FULL, FULL, 1]
    await asyncio.gather(*(calls.execute([("GET", "a")] * size) for size in (1, FULL)))
    assert node.sizes[3:] == [1, FULL], "a small call doesn't wait for a large one"
