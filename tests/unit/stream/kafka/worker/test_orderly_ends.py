"""Ends of a worker that no record is to blame for: its notes of partitions go with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from stream.kafka.clients.security import KafkaRefuses
from stream.kafka.consumer.acks import Partition
from stream.kafka.exit_codes import EXIT_BUG, EXIT_SETTINGS, EXIT_UNREACHABLE
from stream.kafka.worker.worker import Stalled
from stream.runtime.patience import DependencyTimeout
from tests.unit.stream.kafka.agent_scene import P0
from tests.unit.stream.kafka.worker.test_worker_leaving import Working
from tests.unit.stream.runtime.virtual_time import on_virtual_time


class Noted(Working):
    """A worker whose caution says what it forgets, and whether all work had ended by then."""

    def __init__(self) -> None:
        super().__init__(finishes_work=False)
        self.forgotten: list[tuple[Collection[Partition] | None, bool]] = []
        caution: Any = self
        self.worker._components = replace(self.worker._components, caution=caution)

    async def hand_over(self, partitions: Collection[Partition] | None = None) -> None:
        self.forgotten.append((partitions, bool(self.scene.runner.tasks_of(partitions or self.scene.acks.partitions))))


async def background_task_ended(working: Working, error: Exception) -> None:
    async def failing() -> None:
        raise error

    task = asyncio.create_task(failing())
    await asyncio.wait({task})
    working.worker._background_task_ended(task)
    await asyncio.sleep(1)


async def revoked(working: Working) -> None:
    await working.worker._revoked(None, [SimpleNamespace(topic=P0[0], partition=P0[1])])


#: An end, what is forgotten, and the exit code.
ENDS: dict[str, tuple[Callable[[Working], Awaitable[None]], list[Any], list[int]]] = {
    "partitions go": (lambda working: working.worker.revoking([P0]), [([P0], False)], []),
    "a record came since": (revoked, [({P0}, False)], []),
    "stop": (lambda working: working.worker.stopping(), [(None, False)], []),
    "kafka away": (
        lambda working: background_task_ended(working, DependencyTimeout("kafka")),
        [(None, False)],
        [EXIT_UNREACHABLE],
    ),
    "login refused": (
        lambda working: background_task_ended(working, KafkaRefuses("password")),
        [(None, False)],
        [EXIT_SETTINGS],
    ),
    "stalled": (lambda working: background_task_ended(working, Stalled()), [], [EXIT_BUG]),
}


@pytest.mark.parametrize(("end", "forgotten", "codes"), ENDS.values(), ids=ENDS)
@on_virtual_time
async def test_notes_go(end: Callable[[Working], Awaitable[None]], forgotten: list[Any], codes: list[int]) -> None:
    working = Noted()
    await working.begin()
    await end(working)
    assert (working.forgotten, working.left[:1]) == (forgotten, codes)  # a process has one end
    working.scene._task.cancel()
