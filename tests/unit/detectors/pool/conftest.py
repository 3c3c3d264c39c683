"""A pool of fakes that is always stopped, and a wait for conditions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from detectors.pool import PoolSettings, SlotPool
from tests.unit.detectors.pool.fakes import Scripted, one, picture

MakePool = Callable[..., Awaitable[SlotPool]]


def gone(pid: int) -> bool:
    """Whether the process has ended; when its zombie is reaped is up to init if it was handed to that."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
async def make_pool() -> AsyncIterator[MakePool]:
    """`await make_pool(slots=2, ...)`: a started pool without preloads; settings by keyword."""
    pools: list[SlotPool] = []

    async def make(factory: Callable[..., Any] = Scripted, args: tuple[Any, ...] = (), **changed: Any) -> SlotPool:
        settings = PoolSettings(**{"slots": 1, "preload": (), "deadline_s": 10.0, **changed})
        pool = SlotPool(factory, args, settings=settings)
        pools.append(pool)
        await pool.start()
        return pool

    yield make
    for pool in pools:
        await pool.stop(grace_s=0)


@pytest.fixture
async def pool(make_pool: MakePool) -> SlotPool:
    return await make_pool()


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    async def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true"
            await asyncio.sleep(0.005)

    return wait


def word_of(pid: int) -> str:
    """Word that a slot says, see `fakes.say`; none from a slot that is being replaced."""
    said = Path(f"/proc/{pid}/comm")
    return said.read_text().strip() if said.exists() else ""


class Gate:
    def __init__(self, path: Path, until: Callable[..., Awaitable[None]]) -> None:
        self._path, self._until = path, until
        self.image = picture("gate", path)

    def open(self) -> None:
        self._path.touch()

    async def hold(self, pool: SlotPool) -> asyncio.Task[Any]:
        """The job of a slot that has begun and waits for the gate."""
        job = asyncio.create_task(one(pool, self.image))
        await self._until(lambda: "holding" in [word_of(slot.pid) for slot in pool.stats().slots])
        return job


@pytest.fixture
def gate(tmp_path: Path, until: Callable[..., Awaitable[None]]) -> Gate:
    return Gate(tmp_path / "gate", until)
