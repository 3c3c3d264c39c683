"""The contract of Redis clients: against the embedded store, a real server and a real cluster of three."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from redis.crc import key_slot
from redis.exceptions import ResponseError

from abuse.redis_port import ForeignValue, RedisClient
from config.errors import Unavailable
from config.groups.services import RedisSettings
from stream.redis.client import connect
from tests.contract.redis_servers import RedisServer
from tests.unit.stream.redis.scripted_redis import encoded, scripted

KEEP_S = 300


@dataclass(frozen=True, slots=True)
class Server:
    """A server under test. `open` makes one more client, closed after the test."""

    open: Callable[..., RedisClient]
    calls: RedisClient
    key: Callable[[object], str]


@pytest.fixture
def server(redis_server: RedisServer) -> Server:
    return Server(redis_server.connect, redis_server.connect(), redis_server.key)


async def test_replies_come_in_order_of_commands(server):
    """The nodes may answer in any order."""
    assert await server.calls.execute([]) == []
    keys = [server.key(number) for number in range(1000)]
    assert len({key_slot(key.encode()) * 3 // 16384 for key in keys}) == 3
    values = [b"%d" % number * 100 for number in range(1000)]
    stored = [("SET", key, value, "EX", KEEP_S) for key, value in zip(keys, values, strict=True)]
    assert await server.calls.execute(stored) == [b"OK"] * 1000
    assert await server.calls.execute([("GET", key) for key in reversed(keys)]) == values[::-1]


async def test_commands_on_one_key_are_carried_out_in_their_order(server):
    counted, other = server.key("counted"), server.key("other")
    batch = [command for _ in range(20) for command in (("INCR", counted), ("INCR", other))]
    assert await server.calls.execute(batch) == [number for number in range(1, 21) for _ in range(2)]
    assert await server.calls.execute([("EXPIRE", key, KEEP_S) for key in (counted, other)]) == [1, 1]


async def test_each_kind_of_reply_has_one_shape(server):
    text, places = server.key("text"), server.key("places")
    assert await server.calls.execute(
        [
            ("GET", text),
            ("SET", text, b"\x00\r\n\xff"),
            ("GET", text),
            ("STRLEN", text),
            ("ZADD", places, 1.5, "a", 2, b"b"),
            ("ZSCORE", places, "a"),
            ("ZSCORE", places, "nobody"),
            ("ZRANGE", places, 0, -1, "WITHSCORES"),
            ("ZRANGE", places, 5, 6),
            ("ZMSCORE", places, "b", "nobody"),
            ("EXPIRE", text, KEEP_S),
            ("EXPIRE", places, KEEP_S),
        ]
    ) == [*(None, b"OK", b"\x00\r\n\xff", 4), *(2, b"1.5", None, [b"a", b"1.5", b"b", b"2"], [], [b"2", None]), *(1, 1)]


async def test_key_may_be_text_or_bytes(server):
    key = server.key("é")
    assert await server.calls.execute([("SET", key, "x", "EX", KEEP_S), ("GET", key.encode())]) == [b"OK", b"x"]


async def test_an_error_among_the_replies_leaves_no_reply_unread(server):
    calls = server.open(max_connections=1)
    wrong, text = server.key("wrong"), server.key("text")
    await calls.execute([("SET", text, "text", "EX", KEEP_S)])
    for _ in range(3):
        with pytest.raises(ForeignValue, match=text):
            await calls.execute([("SET", wrong, "1", "EX", KEEP_S), ("ZSCORE", text, "a"), ("GET", wrong)])
        with pytest.raises(ResponseError):
            await calls.execute([("NOSUCHCOMMAND", wrong), ("GET", text)])
        assert await calls.execute([("GET", wrong), ("GET", text)]) == [b"1", b"text"]


async def test_many_callers_share_few_connections(server):
    async def one(number: int) -> list[object]:
        key = server.key(number)
        return await server.calls.execute([("SET", key, number, "EX", KEEP_S), ("GET", key)])

    answers = await asyncio.gather(*(one(number) for number in range(200)))
    assert answers == [[b"OK", b"%d" % number] for number in range(200)]


async def test_callers_beyond_the_number_of_connections_wait_their_turn(monkeypatch):
    monkeypatch.setattr("stream.redis.node.FULL", 1)  # else all share one connection
    async with scripted(lambda command: encoded(command[1])) as (node,):
        calls = connect(RedisSettings(url=f"redis://127.0.0.1:{node.port}/0", call_timeout_s=20), max_connections=3)
        answers = await asyncio.gather(*(calls.execute([("GET", number)]) for number in range(50)))
        await calls.close()
    assert answers == [[b"%d" % number] for number in range(50)]
    assert node.opened == 3


async def test_a_caller_that_is_cut_short_harms_no_other(server):
    calls = server.open(max_connections=2)
    keys = [server.key(number) for number in range(30)]
    await calls.execute([("SET", key, key, "EX", KEEP_S) for key in keys])
    wanted = [key.encode() for key in keys]
    for turns in range(12):
        caller = asyncio.create_task(calls.execute([("GET", key) for key in reversed(keys)]))
        for _ in range(turns):
            await asyncio.sleep(0)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        assert await calls.execute([("GET", key) for key in keys]) == wanted


async def test_a_server_slower_than_the_deadline_is_away(server):
    calls = server.open(call_timeout_s=1e-6)
    with pytest.raises(Unavailable, match="redis: TimeoutError"):
        await calls.execute([("GET", server.key("x"))])
