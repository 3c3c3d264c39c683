"""Starters of service tiers: each says in words why its services aren't there, and cleans up after itself."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from stream.embedded.store import EmbeddedStore
from tests.services import starters
from tests.services.choice import KAFKA, REDIS, NotAvailable, ServiceTier

LINES = "LIVENESS_KAFKA__BOOTSTRAP_SERVERS=127.0.0.1:1\nLIVENESS_REDIS__URL=redis://127.0.0.1:2/0\n"


def test_configured_services_must_answer(embedded_redis: EmbeddedStore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as gone:
        listening, closed = (f"127.0.0.1:{made.getsockname()[1]}" for made in (server, gone))
        gone.close()
        for url in (f"redis://{listening}/3", embedded_redis.url):
            services = starters.from_addresses({KAFKA: listening, REDIS: url, "OTHER": "x"})
            assert (services.tier, services.environment) == (ServiceTier.ADDRESSES, {KAFKA: listening, REDIS: url})
        absent = embedded_redis.url.replace("redis.sock", "gone.sock")
        for url, where in ((f"redis://{closed}/0", closed), (absent, r"/.*gone\.sock")):
            with pytest.raises(NotAvailable, match=f"no Redis answers at {where}"):
                starters.from_addresses({KAFKA: listening, REDIS: url})
    with pytest.raises(NotAvailable, match=f"{REDIS} not set"):
        starters.from_addresses({KAFKA: listening})


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


@pytest.mark.parametrize("up", [(0, LINES, ""), (3, "", "services: Kafka needs Java 17 or newer\nnoise\n")])
def test_private_pair_leaves_no_folder(up: tuple[int, str, str]) -> None:
    script = Script(status=(1, "", ""), up=up)
    if up[0]:
        with pytest.raises(NotAvailable, match=r"^Kafka needs Java 17 or newer$"):
            starters.from_local_services(script)
    else:
        services = starters.from_local_services(script)
        assert services.environment[KAFKA] == "127.0.0.1:1"
        services.close()
        assert script.ran[-1] == ("down", script.ran[-2][1])
    (_, folder) = script.ran[-1]
    assert folder is not None
    assert not folder.exists()
