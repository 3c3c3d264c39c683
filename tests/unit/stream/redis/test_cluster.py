"""The cluster's client against scripted nodes: what three healthy real ones never answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from redis.crc import key_slot

from abuse.redis_port import RedisClient
from config.errors import SettingsError, Unavailable
from config.groups.services import RedisSettings
from stream.redis import topology as redis_topology
from stream.redis.client import connect
from tests.unit.stream.redis.scripted_redis import HANG_UP, Script, ScriptedRedis, encoded, scripted
from tests.unit.stream.runtime.virtual_time import now

HALF = 8192
#: Keys in the lower and the upper half of the slots.
LOW, HIGH = "far", "near"
SLOW_S = 0.5


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_topology, "ASK_AGAIN_S", 0.1)


def slots(*owners: tuple[int, int, bytes | None, int]) -> bytes:
    return encoded([[first, last, [host, port, b"id", []]] for first, last, host, port in owners])


def client(port: int, call_timeout_s: float = 5.0, **changed: object) -> RedisClient:
    given = {"url": f"redis://127.0.0.1:{port}/0", "call_timeout_s": call_timeout_s, "cluster": True, **changed}
    return connect(RedisSettings(**given))


def echo(command: list[bytes]) -> bytes | None:
    return encoded(b"+".join(command[1:]))


@asynccontextmanager
async def pair(low: Script = echo, high: Script = echo, host: bytes | None = b"127.0.0.1") -> AsyncIterator[Nodes]:
    """Two nodes with half of the slots each; the script is asked for everything but the table."""

    def with_table(script: Script) -> Script:
        return lambda command: nodes.table() if command[0] == b"CLUSTER" else script(command)

    async with scripted(with_table(low), with_table(high)) as (first, second):
        nodes = Nodes(first, second, host)
        try:
            yield nodes
        finally:
            await nodes.calls.close()


class Nodes:
    def __init__(self, low: ScriptedRedis, high: ScriptedRedis, host: bytes | None) -> None:
        self.low, self.high = low, high
        self.table: Callable[[], bytes | None] = lambda: slots(
            (0, HALF - 1, host, low.port), (HALF, 16383, host, high.port)
        )
        self.calls = client(low.port)

    def use(self, call_timeout_s: float) -> None:
        self.calls = client(self.low.port, call_timeout_s)

    def asked_for_the_table(self) -> int:
        return sum(command[0] == b"CLUSTER" for node in (self.low, self.high) for command in node.commands)


@pytest.mark.parametrize("host", [b"127.0.0.1", b"", None, b"?"])
async def test_commands_go_to_slot_owners(host):
    async with pair(host=host) as nodes:
        assert await nodes.calls.execute([("GET", HIGH), ("GET", LOW), ("GET", HIGH)]) == [b"near", b"far", b"near"]
        assert [command for command in nodes.low.commands if command[0] == b"GET"] == [[b"GET", b"far"]]
        assert nodes.high.commands == [[b"GET", b"near"]] * 2


async def test_table_is_asked_for_once():
    async with pair() as nodes:
        await asyncio.gather(*(nodes.calls.execute([("GET", LOW), ("GET", HIGH)]) for _ in range(50)))
        assert nodes.asked_for_the_table() == 1


async def test_asking_precedes_each_command():
    def on_its_way(command: list[bytes]) -> bytes:
        return b"-ASK %d 127.0.0.1:%d\r\n" % (key_slot(command[1]), nodes.high.port)

    def importing(command: list[bytes]) -> bytes | None:
        return b"+OK\r\n" if command == [b"ASKING"] else echo(command)

    async with pair(low=on_its_way, high=importing) as nodes:
        assert await nodes.calls.execute([("SET", LOW, 1), ("GET", LOW)]) == [b"far+1", b"far"]
        assert nodes.high.commands == [[b"ASKING"], [b"SET", b"far", b"1"], [b"ASKING"], [b"GET", b"far"]]


@pytest.mark.parametrize("host", [b"127.0.0.1", b""])
async def test_redirection_without_a_host(host):
    def moved(command: list[bytes]) -> bytes:
        return b"-MOVED %d %s:%d\r\n" % (key_slot(command[1]), host, nodes.high.port)

    async with pair(low=moved) as nodes:
        assert await nodes.calls.execute([("GET", LOW), ("GET", HIGH)]) == [b"far", b"near"]


async def test_disagreeing_nodes_end_the_call():
    def to(port: Callable[[], int]) -> Script:
        return lambda command: b"-MOVED %d 127.0.0.1:%d\r\n" % (key_slot(command[1]), port())

    async with pair(low=to(lambda: nodes.high.port), high=to(lambda: nodes.low.port)) as nodes:
        with pytest.raises(Unavailable, match="TooManyRedirections"):
            await nodes.calls.execute([("GET", LOW)])
        assert sum(len(node.commands) for node in (nodes.low, nodes.high)) <= 7


async def test_unowned_slot_means_not_now():
    async with pair() as nodes:
        nodes.table = lambda: slots((0, HALF - 1, b"127.0.0.1", nodes.low.port))
        with pytest.raises(Unavailable, match="SlotNotCovered"):
            await nodes.calls.execute([("GET", LOW), ("GET", HIGH)])
        assert await nodes.calls.execute([("GET", LOW)]) == [b"far"]


async def test_silent_node_meets_the_deadline():
    async with pair(high=lambda command: None) as nodes:
        nodes.use(call_timeout_s=SLOW_S)
        started = now()
        with pytest.raises(Unavailable, match="TimeoutError"):
            await nodes.calls.execute([("GET", LOW), ("GET", HIGH)])
        assert SLOW_S * 0.9 <= now() - started < SLOW_S + 5
        assert await nodes.calls.execute([("GET", LOW)]) == [b"far"]
        assert nodes.low.opened == 1, "the node that answered lost its connection"


async def test_node_without_table_is_skipped():
    async with pair() as nodes:
        nodes.use(call_timeout_s=SLOW_S)
        await nodes.calls.execute([("GET", LOW)])
        nodes.high.script = lambda command: None if command[0] == b"CLUSTER" else HANG_UP
        with pytest.raises(Unavailable):
            await nodes.calls.execute([("GET", HIGH)])
        await due_again()
        # In doubt: the other node is asked first, in vain, then this one; the call is still answered.
        assert await nodes.calls.execute([("GET", LOW)]) == [b"far"]
        assert [b"CLUSTER", b"SLOTS"] in nodes.high.commands
        assert nodes.asked_for_the_table() == 3


async def test_forgetful_node_changes_no_table():
    async with pair(low=lambda command: HANG_UP) as nodes:
        assert await nodes.calls.execute([("GET", HIGH)]) == [b"near"]
        nodes.low.script = lambda command: encoded([]) if command[0] == b"CLUSTER" else HANG_UP
        for _ in range(3):
            with pytest.raises(Unavailable):
                await nodes.calls.execute([("GET", LOW)])
            await due_again()
            assert await nodes.calls.execute([("GET", HIGH)]) == [b"near"]
        assert [b"CLUSTER", b"SLOTS"] in nodes.low.commands[1:]


async def due_again() -> None:
    """Wait until a table in doubt may be asked for again."""
    since = now()
    while now() - since < redis_topology.ASK_AGAIN_S:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_failing_calls_ask_seldom():
    async with pair(high=lambda command: HANG_UP) as nodes:
        started = now()
        for _ in range(20):
            await asyncio.gather(*(nodes.calls.execute([("GET", HIGH)]) for _ in range(10)), return_exceptions=True)
        assert 1 <= nodes.asked_for_the_table() <= 1 + (now() - started) / redis_topology.ASK_AGAIN_S


async def test_departed_node_is_replaced():
    async with pair() as nodes:
        await nodes.calls.execute([("GET", LOW), ("GET", HIGH)])
        assert nodes.high.open == 1
        nodes.table = lambda: slots((0, 16383, b"127.0.0.1", nodes.low.port))
        nodes.high.script = lambda command: b"-CLUSTERDOWN The cluster is down\r\n"
        with pytest.raises(Unavailable, match="CLUSTERDOWN"):
            await nodes.calls.execute([("GET", HIGH)])
        await due_again()
        nodes.high.script = lambda command: nodes.table()
        assert await nodes.calls.execute([("GET", HIGH)]) == [b"near"]
        async with asyncio.timeout(10):
            while nodes.high.open:  # noqa: ASYNC110  # the server has no signal for it
                await asyncio.sleep(0)


NO_CLUSTER = (SettingsError, r"^redis\.cluster: .* LIVENESS_REDIS__CLUSTER=false$")
TABLE_REPLIES = [
    (b"-ERR This instance has cluster support disabled\r\n", *NO_CLUSTER),
    (b"-ERR unknown command 'CLUSTER', with args beginning with: 'SLOTS'\r\n", *NO_CLUSTER),
    (b"+OK\r\n", *NO_CLUSTER),
    (encoded([[0, 16383, [b"host"]]]), *NO_CLUSTER),
    (b"-LOADING Redis is loading the dataset in memory\r\n", Unavailable, "redis"),
]


@pytest.mark.parametrize(("reply", "expected", "words"), TABLE_REPLIES)
async def test_reply_instead_of_a_table(reply, expected, words):
    """Each call tells, not only the first."""
    async with scripted(lambda command: reply) as (redis,):
        calls = client(redis.port)
        for _ in range(2):
            with pytest.raises(expected, match=words):
                await calls.execute([("GET", LOW)])
        await calls.close()


@pytest.mark.parametrize(
    ("url", "why"),
    [("redis://127.0.0.1:1/1", "no database but 0"), ("unix:///tmp/redis.sock", "redis:// or rediss://")],
)
def test_address_of_no_cluster(url, why):
    with pytest.raises(SettingsError, match=rf"^redis\.url: .*{why}"):
        client(0, url=url)


async def test_tls_reaches_every_node():
    """The scripted nodes don't: each is greeted with a TLS handshake, which begins with byte 22."""
    greetings: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greetings.append(await reader.read(2))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        calls = client(0, url=f"rediss://127.0.0.1:{port}/0")
        with pytest.raises(Unavailable):
            await calls.execute([("GET", LOW)])
        await calls.close()
    assert greetings == [b"\x16\x03"]
