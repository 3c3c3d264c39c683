"""An embedded installation: broker, store, and one ordinary worker process that uses them."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Self

from config import settings as configuration
from config.connections import RedisSecurity
from config.secret_files import SECRETS
from config.settings import Settings
from stream.embedded.broker import FETCH_MAX_WAIT_MS, EmbeddedBroker
from stream.embedded.store import EmbeddedStore

WORKER_START_TIMEOUT_S = 90.0
#: Of Redis' TLS and login, which the embedded store doesn't have.
NONE = {name: field.default for name, field in RedisSecurity.model_fields.items()}
WORKER_STOP_TIMEOUT_S = 20.0


class WorkerDidNotStart(Exception):
    """Failed start of a worker, which ended or stayed silent; the worker's own output says why."""


def set_aside() -> dict[str, str]:
    """Variables that set aside what is set for a Redis of the user's own; none without need. Raises SettingsError."""
    own = configuration.load().redis
    changed = {name: "" if none is None else str(none) for name, none in NONE.items() if getattr(own, name) != none}
    files = (
        f"LIVENESS_{group}__{name}_FILE".upper() for group in ("redis", "abuse", "records") for name in SECRETS[group]
    )
    return {
        **{f"LIVENESS_REDIS__{name.upper()}": value for name, value in changed.items()},
        **dict.fromkeys((file for file in files if file in os.environ), ""),
    }


def settings_under(environment: Mapping[str, str]) -> Settings:
    """Settings of the user with these variables on top, read as the worker reads them."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        return configuration.load()
    finally:
        os.environ.clear()
        os.environ.update(before)


class EmbeddedServices:
    """Embedded broker and store, with the settings that lead to both.

    `redis_pid` is the store's process; the broker consists of threads of this process. Raises what `EmbeddedStore` and
    `EmbeddedBroker` raise.
    """

    def __init__(self) -> None:
        not_ours = set_aside()
        self._store = EmbeddedStore()
        self.redis_pid = self._store.pid
        try:
            self._broker = EmbeddedBroker()
        except BaseException:  # an interruption too: the store would stay as long as this process
            self._store.close()
            raise
        self.environment = {
            # As in production, addresses and devices are observed.
            "LIVENESS_ABUSE__HASH_KEYS": json.dumps([{"id": "embedded", "secret": secrets.token_hex(16)}]),
            # And internal records carry MACs.
            "LIVENESS_RECORDS__KEYS": json.dumps([{"id": "embedded", "secret": secrets.token_hex(16)}]),
            "LIVENESS_KAFKA__BOOTSTRAP_SERVERS": self._broker.bootstrap_servers,
            "LIVENESS_KAFKA__EMBEDDED": "true",
            "LIVENESS_KAFKA__FETCH_MAX_WAIT_MS": str(FETCH_MAX_WAIT_MS),
            "LIVENESS_REDIS__URL": self._store.url,
            **not_ours,
        }

    def settings(self) -> Settings:
        """Settings for a client in this process, on top of the user's own."""
        return settings_under(self.environment)

    def close(self) -> None:
        self._store.close()
        self._broker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class WorkerProcess:
    """`liveness worker`, or another module that runs a worker, as a child process; ready when `start` returns."""

    def __init__(
        self,
        environment: Mapping[str, str],
        module: Sequence[str] = ("stream.cli", "worker"),
    ) -> None:
        self._port, self._module = _free_port(), module
        self._environment = {
            **os.environ,
            **environment,
            "LIVENESS_HTTP__HOST": "127.0.0.1",
            "LIVENESS_HTTP__PORT": str(self._port),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self, timeout_s: float = WORKER_START_TIMEOUT_S) -> Self:
        """Start and wait until the worker has partitions; raises WorkerDidNotStart."""
        self._process = subprocess.Popen([sys.executable, "-m", *self._module], env=self._environment)
        try:
            self._wait(self._process, timeout_s)
        except BaseException:  # an interruption too: nobody else would end it
            self.stop()
            raise
        return self

    def stop(self) -> int:
        """Exit code of the worker, after SIGTERM and, if the worker stays, SIGKILL. May be repeated."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(WORKER_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait(self, process: subprocess.Popen[bytes], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise WorkerDidNotStart(f"the worker ended with code {process.returncode}")
            if self._ready():
                return
            time.sleep(0.1)
        raise WorkerDidNotStart(f"the worker was not ready within {timeout_s:g} s")

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/ready", timeout=2) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
