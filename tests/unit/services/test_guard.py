"""The guard of unmarked tests: no service outside the test's own process is reached."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from stream.embedded.store import EmbeddedStore
from tests.services.guard import Unreachable


def connect(family: socket.AddressFamily, address, call: str = "connect") -> None:
    with socket.socket(family) as made:
        getattr(made, call)(address)


@pytest.mark.parametrize(
    ("family", "address", "call"),
    [
        *((socket.AF_INET, ("127.0.0.1", 9092), call) for call in ("connect", "connect_ex")),
        (socket.AF_UNIX, "redis.sock", "connect"),
    ],
)
def test_foreign_addresses_are_refused(family: socket.AddressFamily, address, call: str) -> None:
    assert not [name for name in os.environ if name.startswith(("LIVENESS_KAFKA", "LIVENESS_REDIS"))]
    with pytest.raises(Unreachable, match="mark it"):
        connect(family, address, call)


async def test_asyncio_is_refused_too() -> None:
    with pytest.raises(Unreachable):
        await asyncio.open_connection("127.0.0.1", 6379)


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_UNIX, "own.sock")])
def test_own_servers_are_reached(family, address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the address of a Unix socket holds a hundred characters
    with socket.socket(family) as server:
        server.bind(address)
        server.listen()
        connect(family, server.getsockname())
    for made in socket.socketpair():
        made.close()


def test_embedded_redis_is_reached(embedded_redis: EmbeddedStore, tmp_path: Path) -> None:
    path, link = urlsplit(embedded_redis.url).path, tmp_path / "l"
    link.symlink_to(path)
    for address in (path, str(link)):
        connect(socket.AF_UNIX, address)
