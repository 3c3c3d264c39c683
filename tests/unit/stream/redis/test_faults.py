"""The decision store with a Redis that is away, busy or wrong: "not now" is told from "never"."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

import pytest
from redis.exceptions import RedisError, ResponseError

from abuse.redis_port import ForeignValue, RedisClient
from abuse.store_time import StillTime
from config.errors import SettingsError, Unavailable
from config.groups.services import RedisSettings
from stream.embedded.store import EmbeddedStore
from stream.pipeline.decision_store import StoredDecision
from stream.redis.client import connect
from stream.redis.decision_store import RedisDecisionStore
from tests.instants import NOW_MS
from tests.unit.stream.builders import SECRET, ids
from tests.unit.stream.redis.scripted_redis import ScriptedRedis, encoded, scripted

OURS = StoredDecision("a" * 32, b"decision")
TIMEOUT_S = 0.2

CALLS = {
    "find": lambda store: store.find(ids()),
    "put_if_absent": lambda store: store.put_if_absent(ids(), OURS),
    "put_by_fingerprint": lambda store: store.put_by_fingerprint(ids(), OURS),
    "ping": lambda store: store.ping(),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


def store_at(port: int, **settings) -> RedisDecisionStore:
    given = {"url": f"redis://:{SECRET}@127.0.0.1:{port}/0", "call_timeout_s": 20, **settings}
    return RedisDecisionStore(connect(RedisSettings(**given)), "p:", 60, StillTime(NOW_MS))


def client_of(redis: ScriptedRedis, call_timeout_s: float = 5) -> RedisClient:
    return connect(RedisSettings(url=f"redis://127.0.0.1:{redis.port}/0", call_timeout_s=call_timeout_s))


@every_call
async def test_refused_connection_means_not_now(call):
    with socket.socket() as bound:  # bound and not listening
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(Unavailable) as away:
            await call(store_at(bound.getsockname()[1]))
    assert (away.value.dependency, away.value.fault) == ("redis", "ConnectionError")
    assert SECRET not in str(away.value)


@every_call
async def test_silent_server_means_not_now(call):
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connected to, but never read from
        started = loop.time()
        with pytest.raises(Unavailable, match="redis: TimeoutError"):
            await call(store_at(silent.getsockname()[1], call_timeout_s=TIMEOUT_S))
        assert TIMEOUT_S * 0.9 <= loop.time() - started < TIMEOUT_S + 5


#: What a reply means: the error, and what its message must match.
NOT_NOW = (Unavailable, "^redis: ")
BUG = (ResponseError, r"\w")
WRONG_SETTING = (SettingsError, r"^redis\.url: Redis ")
OTHER_KIND = (ForeignValue, r"^Redis key p:(decision|probe)")
OF_A_CLUSTER = (SettingsError, r"LIVENESS_REDIS__CLUSTER=true$")
REPLIES = {
    "LOADING Redis is loading the dataset in memory": NOT_NOW,
    "READONLY You can't write against a read only replica.": NOT_NOW,
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.": NOT_NOW,
    "CLUSTERDOWN The cluster is down": NOT_NOW,
    "TRYAGAIN Multiple keys request during rehashing of slot": NOT_NOW,
    "OOM command not allowed when used memory > 'maxmemory'.": NOT_NOW,
    "BUSY Redis is busy running a script.": NOT_NOW,
    "NOREPLICAS Not enough good replicas to write.": NOT_NOW,
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.": NOT_NOW,
    "NOPERM User has no permissions to run the 'set' command": WRONG_SETTING,
    "NOAUTH Authentication required.": WRONG_SETTING,
    "WRONGPASS invalid username-password pair or user is disabled.": WRONG_SETTING,
    "DENIED Redis is running in protected mode.": WRONG_SETTING,
    "ERR syntax error": WRONG_SETTING,
    "ERR unknown command 'SET'": BUG,
    "CROSSSLOT Keys in request don't hash to the same slot": BUG,
    "BUSYGROUP no such thing": BUG,
    "MOVED 3999 127.0.0.1:6381": OF_A_CLUSTER,
    "ASK 3999 127.0.0.1:6381": OF_A_CLUSTER,
    "WRONGTYPE Operation against a key holding the wrong kind of value": OTHER_KIND,
}


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: " ".join(reply.split()[:2]))
async def test_error_reply(reply):
    expected, words = REPLIES[reply]
    async with scripted(lambda command: f"-{reply}\r\n".encode()) as (redis,):
        for call in CALLS.values():
            with pytest.raises(expected, match=words) as raised:
                await call(store_at(redis.port))
            assert SECRET not in str(raised.value)


@pytest.mark.parametrize("reply", [b"+OK\r\n", b":5\r\n", b"*0\r\n", b"*1\r\n$-1\r\n"])
async def test_odd_reply_is_no_decision(reply):
    async with scripted(lambda command: reply) as (redis,):
        for call in (CALLS["find"], CALLS["put_if_absent"], CALLS["put_by_fingerprint"]):
            with pytest.raises((ForeignValue, RedisError)):
                await call(store_at(redis.port))


async def test_returning_server_is_used(tmp_path):
    """The second server is a new one, at the same address."""
    address = tmp_path / "redis.sock"
    store = store_at(0, url=f"unix://{address}")
    for _ in range(2):
        server = EmbeddedStore()
        try:
            address.symlink_to(urlsplit(server.url).path)
            assert await store.find(ids()) is None
            assert await store.put_if_absent(ids(), OURS) == OURS
        finally:
            server.close()
        with pytest.raises(Unavailable, match="ConnectionError"):
            await store.find(ids())
        address.unlink()
    await store.close()


async def test_error_costs_no_connection():
    def script(command: list[bytes]) -> bytes:
        return b"-ERR no such key\r\n" if command[1] == b"wrong" else encoded(command[1])

    async with scripted(script) as (redis,):
        calls = client_of(redis)
        for _ in range(3):
            with pytest.raises(ResponseError, match="no"):
                await calls.execute([("GET", "a"), ("GET", "wrong"), ("GET", "b")])
            assert await calls.execute([("GET", "a"), ("GET", "b")]) == [b"a", b"b"]
        assert (redis.opened, redis.open) == (1, 1)
        await calls.close()


async def test_late_reply_is_never_read():
    """The connection that still owes a reply is given up."""
    async with scripted(lambda command: None if command[1] == b"slow" else encoded(b"x")) as (redis,):
        calls = client_of(redis, TIMEOUT_S)
        with pytest.raises(Unavailable, match="TimeoutError"):
            await calls.execute([("GET", "slow")])
        assert await calls.execute([("GET", "a")]) == [b"x"]
        assert redis.opened == 2
        await calls.close()


async def test_dead_idle_connection_is_replaced():
    async with scripted(lambda command: encoded(b"x")) as (redis,):
        calls = client_of(redis)
        assert await calls.execute([("GET", "a")]) == [b"x"]
        await redis.hang_up()
        another = client_of(redis)
        await another.execute([("GET", "a")])  # by its end, the first one's socket has been looked at
        assert await calls.execute([("GET", "a")]) == [b"x"]
        assert redis.opened == 3
        await calls.close()
        await another.close()


async def test_address_options_change_nothing(empty_redis):
    options = "protocol=3&decode_responses=true&socket_timeout=0.000001&max_connections=1&client_name=x"
    calls = connect(RedisSettings(url=f"{empty_redis}?{options}", call_timeout_s=10))
    try:
        added = [("ZADD", "places", 1.5, "a"), ("ZRANGE", "places", 0, -1, "WITHSCORES")]
        assert await calls.execute(added) == [1, [b"a", b"1.5"]]
        assert await asyncio.gather(*(calls.execute([("GET", "a")]) for _ in range(8))) == [[None]] * 8
    finally:
        await calls.close()


async def test_closing_ends_open_calls():
    async with scripted(lambda command: None) as (redis,):
        calls = client_of(redis, 20)
        waiting = asyncio.create_task(calls.execute([("GET", "a")]))
        async with asyncio.timeout(10):
            while not redis.commands:  # noqa: ASYNC110  # the server has no signal for it
                await asyncio.sleep(0)
            await calls.close()
            with pytest.raises(Unavailable, match="ConnectionError"):
                await waiting
            while redis.open:  # noqa: ASYNC110
                await asyncio.sleep(0)


@pytest.mark.parametrize("cluster", [False, True])
@pytest.mark.parametrize("option", ["no_such_option=secret-value", "db=secret-value", "socket_keepalive_x=1"])
def test_unknown_option_is_refused(option, cluster):
    with pytest.raises(SettingsError, match=r"^redis\.url: .*" + option.split("=")[0]) as refused:
        connect(RedisSettings(url=f"redis://:{SECRET}@127.0.0.1:1?{option}", cluster=cluster))
    assert "secret-value" not in str(refused.value)
    assert SECRET not in str(refused.value)
