"""A broker and a Redis of the tests' own, to be killed and started again."""

from __future__ import annotations

import asyncio
import json
import re
import resource
from pathlib import Path

from tests.services.starters import local_services

MISSING = 3


class MissingPrograms(Exception):
    """Programs that the machine lacks to start its own services."""


class PrivatePair:
    """deploy/local on a folder of its own. The shared pair is never touched."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.environment: dict[str, str] = {}

    def up(self) -> None:
        """Start what doesn't run; raises MissingPrograms."""
        code, output, errors = local_services("up", self._state)
        if code == MISSING:
            raise MissingPrograms(errors)
        assert code == 0, errors
        self.environment = dict(re.findall(r"(LIVENESS_[A-Z_]+)=(\S+)", output))

    def down(self) -> None:
        code, _, errors = local_services("down", self._state)
        assert code == 0, errors

    async def kill(self, service: str) -> None:
        """SIGKILL `kafka` or `redis`."""
        await self._run(f"kill-{service}")

    async def start(self, service: str) -> None:
        """Start it again on the address and data it had; returns when it answers."""
        await self._run(f"start-{service}")

    def fill_disk(self) -> None:
        """Let no file of the broker grow, until it is started again: the system answers as on a full disk."""
        services = json.loads((self._state / "state.json").read_text())["services"]
        resource.prlimit(services["kafka"]["process"]["pid"], resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))

    async def answers(self) -> bool:
        """Whether both services run and answer."""
        code, _, _ = await asyncio.to_thread(local_services, "status", self._state)
        return code == 0

    async def _run(self, command: str) -> None:
        code, _, errors = await asyncio.to_thread(local_services, command, self._state)
        assert code == 0, errors
