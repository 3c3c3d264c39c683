"""The health probe against the worker's own health page."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from typer.testing import CliRunner

from config.errors import SettingsError
from config.groups.services import HttpSettings
from stream import cli, health_probe
from stream.health_probe import Health, Page, ask
from stream.runtime.health import HealthServer, HealthState

WORKING = HealthState(assigned=12, waiting_for=(), in_flight=2, lag=7, stuck_s=0.1, stall_timeout_s=60)
WAITING = dataclasses.replace(WORKING, waiting_for=("redis",))
STALLED = dataclasses.replace(WORKING, stuck_s=61)
TROUBLED = dataclasses.replace(WORKING, troubles=("redis: keys may go",))
JOINING = dataclasses.replace(WORKING, assigned=0, in_flight=0, lag=0)


@pytest.fixture
def port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@asynccontextmanager
async def worker_in(state: HealthState, port: int) -> AsyncIterator[None]:
    server = HealthServer(HttpSettings(host="127.0.0.1", port=port), lambda: state)
    await server.start()
    try:
        yield
    finally:
        await server.stop()


WORK = "12 partitions, 2 in flight, 7 to read"


@pytest.mark.parametrize(
    ("state", "live", "ready"),
    [
        (WORKING, f"live: {WORK}", f"ready: {WORK}"),
        (WAITING, f"live: {WORK}; waits for redis", f"not ready: {WORK}; waits for redis"),
        (TROUBLED, f"live: {WORK}; redis: keys may go", f"not ready: {WORK}; redis: keys may go"),
        (STALLED, "not live: ", "not ready: "),
        (JOINING, "live: no partitions yet", "not ready: no partitions yet"),
    ],
    ids=["working", "waiting for redis", "in trouble", "stalled", "joining"],
)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", ""])
async def test_live_is_progress_or_a_reason_and_ready_is_more(
    state: HealthState, live: str, ready: str, host: str, port: int
) -> None:
    """A page on every interface is asked on the loopback."""
    async with worker_in(state, port):
        for page, words in (("live", live), ("ready", ready)):
            health = await asyncio.to_thread(ask, host, port, page)
            assert health.ok is not words.startswith("not")
            assert health.words().startswith(words)


def test_no_answer_is_not_live(port: int) -> None:
    """Nor one that takes too long."""
    health = ask("127.0.0.1", port)
    assert (health.ok, health.words()) == (False, f"not live: no answer on port {port} (ConnectionRefusedError)")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        health = ask("127.0.0.1", silent.getsockname()[1], timeout_s=0.2)
    assert (health.ok, "TimeoutError" in health.fault) == (False, True)


@pytest.mark.parametrize("body", ["OK", "[1]", '{"ok": "yes"}', "{}", '{"ok": false}'])
async def test_another_program_on_the_port_is_not_a_live_worker(body: str, port: int) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=body)

    app = web.Application()
    app.router.add_get("/live", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        assert not (await asyncio.to_thread(ask, "127.0.0.1", port)).ok
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_tells(monkeypatch: pytest.MonkeyPatch, ok: bool, code: int) -> None:
    asked: list[tuple[str, int, str]] = []

    def answer(host: str, port: int, page: Page = "live", timeout_s: float = 3.0) -> Health:
        asked.append((host, port, page))
        return Health(page=page, ok=ok, state={"assigned": 1})

    monkeypatch.setattr(health_probe, "ask", answer)
    monkeypatch.setattr("stream.cli.health.ask", answer)
    monkeypatch.setenv("LIVENESS_HTTP__HOST", "127.0.0.1")
    monkeypatch.setenv("LIVENESS_HTTP__PORT", "8123")
    assert health_probe.main() == code
    assert CliRunner().invoke(cli.app, ["health"]).exit_code == code
    assert CliRunner().invoke(cli.app, ["health", "--ready", "--json"]).exit_code == code
    assert asked == [("127.0.0.1", 8123, page) for page in ("live", "live", "ready")]


@pytest.mark.parametrize("port", [None, "0", "http"])
def test_a_page_that_is_off_is_a_wrong_setting(port: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIVENESS_HTTP__PORT", raising=False)
    if port is not None:
        monkeypatch.setenv("LIVENESS_HTTP__PORT", port)
    assert health_probe.main() == 2
    assert isinstance(CliRunner().invoke(cli.app, ["health"]).exception, SettingsError)


def test_the_probe_loads_nothing_but_the_standard_library() -> None:
    """The probe runs every few seconds in every container."""
    script = "import sys, stream.health_probe; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "http" in loaded.stdout.split()
    heavy = {"aiohttp", "aiokafka", "config", "cv2", "faust", "numpy", "pydantic", "typer"}
    assert heavy.isdisjoint(loaded.stdout.split())
