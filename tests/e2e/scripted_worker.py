"""`liveness worker` with the scripted analyser, and on request with a bug in every stage, or one that ends the process.

Everything else is put together by `stream.bootstrap.worker`, as in production.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from config import settings as configuration
from stream.bootstrap import slots
from stream.bootstrap import worker as bootstrap
from stream.events.message.messages import Output, Record
from stream.kafka.agents import agents
from stream.kafka.agents.agents import AgentSpec, Stage
from stream.kafka.worker import worker
from stream.kafka.worker.run import run
from stream.kafka.worker.worker import Role
from stream.runtime import logs
from tests.e2e.analysers import scripted

#: Exit code of a process that a stage ends.
DIED = 77


class Buggy:
    """A stage that breaks on each record with `bug-in-` and the agent's name in its value or headers, and ends its
    process on each with `death-in-`."""

    def __init__(self, stage: Stage, name: str) -> None:
        self._stage = stage
        self._name = name

    async def handle(self, record: Record) -> Sequence[Output]:
        if self._says("death-in", record):
            os._exit(DIED)
        if self._says("bug-in", record):
            raise RuntimeError("a bug in a stage")
        return await self._stage.handle(record)

    async def answer(self, record: Record) -> Sequence[Output]:
        return await self._stage.answer(record)

    def _says(self, what: str, record: Record) -> bool:
        word = f"{what}-{self._name}".encode()
        return any(word in text for text in (record.value or b"", *(value for _, value in record.headers)))


def main(arguments: list[str] | None = None) -> NoReturn:
    parser = argparse.ArgumentParser()
    parser.add_argument("--roles", default="detect,decide,command")
    parser.add_argument("--bug", action="store_true")
    parsed = parser.parse_args(arguments)
    os.environ["LIVENESS_DETECTION__CONFINEMENT"] = "off"  # its slots say by files how far they are
    settings = configuration.load()
    logs.configure(settings.log)
    if parsed.bug:
        _plant_bug()
    roles = frozenset(Role(role) for role in parsed.roles.split(","))
    slots.SLOT_PRELOAD = (scripted.__module__,)  # the libraries of a real analyser take seconds
    run(bootstrap.build_worker(settings, roles, analyser=scripted))


def _plant_bug() -> None:
    def register(app: Any, runner: Any, spec: AgentSpec) -> None:
        object.__setattr__(spec, "stage", Buggy(spec.stage, spec.name))  # frozen, and the runner has the same one
        agents.register(app, runner, spec)

    worker.register = register  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(sys.argv[1:])
