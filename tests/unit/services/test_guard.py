"""A test that declared nothing reaches nothing outside its own process."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from stream.embedded.store import EmbeddedStore
from tests.services.guard import Unreachable


def test_no_setting_leads_to_a_service() -> None:
    assert not [name for name in os.environ if name.startswith(("LIVENESS_KAFKA", "LIVENESS_REDIS"))]


@pytest.mark.parametrize("port", [9092, 6379])
def test_a_foreign_port_is_refused(port: int) -> None:
    with pytest.raises(Unreachable, match="mark it"):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_connect_ex_is_refused_too() -> None:
    with socket.socket() as made, pytest.raises(Unreachable):
        made.connect_ex(("127.0.0.1", 9092))


async def test_asyncio_is_refused_too() -> None:
    with pytest.raises(Unreachable):
        await asyncio.open_connection("127.0.0.1", 6379)


def test_a_server_of_its_own_may_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()


def test_a_pair_of_sockets_may_be_used() -> None:
    left, right = socket.socketpair()
    left.close()
    right.close()


def test_a_foreign_unix_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made, pytest.raises(Unreachable, match=r"redis\.sock"):
        made.connect(str(tmp_path / "redis.sock"))


def test_a_unix_socket_of_its_own_may_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # an address holds a hundred characters
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as made:
        server.bind("own.sock")
        server.listen()
        made.connect("own.sock")


def test_the_embedded_redis_may_be_reached_also_through_a_link(embedded_redis: EmbeddedStore, tmp_path: Path) -> None:
    path = urlsplit(embedded_redis.url).path
    link = tmp_path / "l"
    link.symlink_to(path)
    for address in (path, str(link)):
        with socket.socket(socket.AF_UNIX) as made:
            made.connect(address)
