"""A Redis that stopped being the one to ask: the client asks at a new connection, and says why it waits."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import redis

from abuse.redis_port import RedisClient
from config.errors import SettingsError, Unavailable
from config.groups.services import RedisSettings
from stream.embedded.store import EmbeddedStore
from stream.redis.client import connect
from stream.redis.node import FULL
from tests.unit.stream.redis.scripted_redis import ScriptedRedis, encoded, scripted

WRITE = [("SET", "a", "1")]
#: Replies, and words of the fault that the log tells.
MOVED_ON = {
    "READONLY You can't write against a read only replica.": "a replica answers where the primary should",
    "NOREPLICAS Not enough good replicas to write.": "too few replicas",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.": "its primary is away",
    "CLUSTERDOWN The cluster is down": "the cluster has",
    "MISCONF Errors writing to the AOF file: No space left on device": "its disk",
    "LOADING Redis is loading the dataset in memory": "from the disk",
    "OOM command not allowed when used memory > 'maxmemory'.": "is full",
    "UNBLOCKED force unblock from blocking operation": "unknown reply: UNBLOCKED force unblock",
    "ERR max number of clients reached": "redis: ",
    "ERR upstream failure": "unknown reply: upstream failure",
    "ERR Connection refused": "unknown reply: Connection refused",
    "no upstream host": "unknown reply: no upstream host",
    "NOGOODSLAVE 7f00d": "unknown reply: NOGOODSLAVE$",
}


def at(server: ScriptedRedis) -> str:
    return f"redis://127.0.0.1:{server.port}/0"


@asynccontextmanager
async def client(url: str, **changed: object) -> AsyncIterator[RedisClient]:
    calls = connect(RedisSettings(url=url, **{"call_timeout_s": 10, **changed}))
    try:
        yield calls
    finally:
        await calls.close()


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_not_now_among_other_replies(place):
    """Wherever it stands, no answer counts."""

    def answer(command: list[bytes]) -> bytes:
        return b"-LOADING Redis is loading\r\n" if command[1] == b"%d" % place else b"*2\r\n$-1\r\n:7\r\n"

    async with scripted(answer) as (server,), client(at(server)) as calls:
        with pytest.raises(Unavailable, match="redis"):
            await calls.execute([("GET", number) for number in range(3)])
        assert await calls.execute([("GET", 8), ("GET", 9)]) == [[None, 7]] * 2
        assert server.opened == 2


@pytest.mark.parametrize("reply", MOVED_ON, ids=lambda reply: reply.split()[0] + reply.split()[1])
async def test_not_now_leaves_every_connection(reply):
    """Three connections are open: one tells, and none of the three is asked again."""
    async with scripted(lambda command: encoded(b"x")) as (server,):
        async with client(at(server)) as calls:
            await asyncio.gather(*(calls.execute(WRITE * FULL) for _ in range(3)))
            server.script = lambda command: f"-{reply}\r\n".encode()
            with pytest.raises(Unavailable, match=MOVED_ON[reply]):
                await calls.execute([("GET", "a"), *WRITE])
            server.script = lambda command: encoded(b"y")
            assert await calls.execute(WRITE) == [b"y"]
        assert server.opened == 4


async def test_silent_server_is_left():
    async with scripted(lambda command: encoded(b"x")) as (server,):
        async with client(at(server), call_timeout_s=0.3) as calls:
            await asyncio.gather(*(calls.execute(WRITE * FULL) for _ in range(3)))
            server.script = lambda command: None
            with pytest.raises(Unavailable, match="TimeoutError"):
                await calls.execute(WRITE)
            server.script = lambda command: encoded(b"y")
            assert await calls.execute(WRITE) == [b"y"]
        assert server.opened == 4


async def test_old_primary_is_left(tmp_path):
    """A failover of two real servers: the address leads on, and nobody cuts the old connections."""
    address, old, new = tmp_path / "redis.sock", EmbeddedStore(), EmbeddedStore()
    try:
        address.symlink_to(_socket(old))
        async with client(f"unix://{address}") as calls:
            assert await calls.execute(WRITE) == [b"OK"]
            with redis.Redis.from_url(old.url) as operator:
                operator.execute_command("REPLICAOF", "127.0.0.1", "1")
            address.unlink()
            address.symlink_to(_socket(new))
            with pytest.raises(Unavailable, match="READONLY: a replica"):
                await calls.execute(WRITE)
            assert await calls.execute(WRITE) == [b"OK"]
        with redis.Redis.from_url(new.url) as operator:
            assert operator.get("a") == b"1"
    finally:
        old.close()
        new.close()


def _socket(store: EmbeddedStore) -> str:
    return unquote(urlsplit(store.url).path)


async def test_unknown_texts_tell_no_value():
    async with (
        scripted(lambda command: b"-ERR strange thing '4be1-face' happened\r\n") as (server,),
        client(at(server)) as calls,
    ):
        with pytest.raises(Unavailable) as told:
            await calls.execute(WRITE)
    assert told.value.fault == "unknown reply: strange thing"


async def test_refused_command_is_named():
    reply = b"-NOPERM User worker has no permissions to run the 'vadd' command\r\n"
    async with scripted(lambda command: reply) as (server,), client(at(server)) as calls:
        with pytest.raises(SettingsError, match=r"\(NOPERM: the user may not run VADD\)$"):
            await calls.execute(WRITE)


@pytest.mark.parametrize("hangs_up", [True, False])
async def test_no_tls_at_this_port(hangs_up):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        await (writer.drain() if hangs_up else asyncio.sleep(5))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with client(f"rediss://127.0.0.1:{port}/0", call_timeout_s=1) as calls:
            with pytest.raises(Unavailable, match="TLS: no handshake came about"):
                await calls.execute(WRITE)


async def test_certificate_of_nobody_we_trust(tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*_own_certificate(tmp_path))
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0, ssl=context)
    async with server, client(f"rediss://127.0.0.1:{server.sockets[0].getsockname()[1]}/0") as calls:
        with pytest.raises(Unavailable, match=r"TLS: the certificate isn't accepted \(self.signed certificate\)"):
            await calls.execute(WRITE)


def _own_certificate(folder: Path) -> tuple[str, str]:
    certificate, key = str(folder / "certificate.pem"), str(folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True, env=os.environ)
    return certificate, key
