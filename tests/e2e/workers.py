"""Worker processes under test: started, watched through their own log and health port, ended by pid."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.e2e.waiting import eventually
from tests.e2e.warm import WarmProcess
from tests.services.starters import free_port

LIVENESS = ("stream.cli", "worker")
SCRIPTED = ("tests.e2e.scripted_worker",)
NAIVE = ("tests.e2e.naive_worker",)
START_S = 150.0
END_S = 60.0
#: What is told of each worker's log after a test.
LINES_TOLD, LINE_TOLD = 40, 300


class Worker:
    """A worker process. `command` is a module and its first arguments."""

    def __init__(
        self,
        environment: Mapping[str, str],
        folder: Path,
        command: tuple[str, ...] = LIVENESS,
        arguments: tuple[str, ...] = (),
    ) -> None:
        self.port = free_port()
        self.log = folder / f"worker-{uuid.uuid4().hex[:8]}.log"
        http = {"LIVENESS_HTTP__HOST": "127.0.0.1", "LIVENESS_HTTP__PORT": str(self.port)}
        with self.log.open("wb") as log:
            settings = {**os.environ, **environment, **http}
            self._process = WarmProcess([*command, *arguments], settings, log.fileno(), log.fileno())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code; None while the worker runs."""
        return self._process.poll()

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log lines of one event."""
        found = []
        for line in self.output.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and entry.get("event") == name:
                found.append(entry)
        return found

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of the health port; status 0 when it doesn't answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    async def ready(self, within_s: float = START_S) -> Worker:
        """Wait until the worker has partitions; fails at once if it ends instead."""

        async def answers() -> bool:
            assert self.code is None, f"the worker ended with code {self.code}:\n{self.output[-3000:]}"
            status, _ = await asyncio.to_thread(self.get, "/ready")
            return status == 200

        await eventually(answers, "the worker is ready", within_s)
        return self

    async def said(self, event: str, within_s: float = 60.0, **fields: object) -> dict[str, Any]:
        """Wait for a log line with these fields."""

        def told() -> dict[str, Any] | None:
            for entry in self.events(event):
                if all(entry.get(name) == value for name, value in fields.items()):
                    return entry
            return None

        entry = await eventually(told, f"the worker says {event} {fields}", within_s)
        assert isinstance(entry, dict)
        return entry

    async def ended(self, within_s: float = END_S) -> int:
        """Wait for the end; the exit code."""
        await eventually(lambda: self.code is not None, "the worker ends", within_s)
        assert self.code is not None
        return self.code

    def kill(self) -> None:
        """SIGKILL: no chance to say, finish or commit anything."""
        self._process.kill()

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)


class Workers:
    """The workers of one installation; `started` has all of them, also those that ended."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = dict(environment)
        self._folder = folder
        self.started: list[Worker] = []

    def start(self, command: tuple[str, ...] = LIVENESS, *arguments: str, **changed: str) -> Worker:
        """Start a process; `changed` are settings in lower case, for this worker alone."""
        settings = {f"LIVENESS_{name.upper()}": value for name, value in changed.items()}
        self.started.append(Worker({**self._environment, **settings}, self._folder, command, arguments))
        return self.started[-1]

    async def run(self, number: int, command: tuple[str, ...] = SCRIPTED) -> list[Worker]:
        """Start so many and wait until each is ready."""
        return await asyncio.gather(*(self.start(command).ready() for _ in range(number)))

    @property
    def alive(self) -> list[Worker]:
        return [worker for worker in self.started if worker.code is None]

    @property
    def codes(self) -> Counter[int | None]:
        """Exit code -> how many ended with it; None counts those that run."""
        return Counter(worker.code for worker in self.started)

    async def replace_one(self, chance: random.Random, command: tuple[str, ...], but: Worker | None = None) -> None:
        """SIGKILL a random one of those that have partitions, not `but`; another takes its place."""

        def working() -> list[Worker]:
            return [worker for worker in self.alive if worker is not but and worker.events("partitions_assigned")]

        await eventually(working, "some worker has partitions")
        chance.choice(working()).kill()
        self.start(command)

    async def stop(self) -> None:
        """Ask all of them to finish and wait; kill who doesn't."""
        stopping = self.alive
        for worker in stopping:
            worker.terminate()
        for worker in stopping:
            try:
                await worker.ended()
            finally:
                if worker.code is None:
                    worker.kill()

    def tell(self) -> None:
        """Print how each worker ended and what its log says last; pytest shows that of a failed test."""
        for worker in self.started:
            last = "\n".join(line[:LINE_TOLD] for line in worker.output.splitlines()[-LINES_TOLD:])
            print(f"worker {worker.pid}, exit code {worker.code}, its last lines:\n{last}")

    def end(self) -> None:
        for worker in self.alive:
            worker.kill()
