"""Redis' disk is full while workers run and start: nothing is decided or lost, and all goes on once there is room.

A limit on the size of its files is what this Redis gets instead of a full disk; the system's answer goes the same way.
"""

from __future__ import annotations

import resource
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from stream.embedded.redis_program import find_server
from stream.events.topics import Topic
from tests.e2e.checker import group_lag
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.pictures import plain_picture, submission
from tests.e2e.waiting import eventually
from tests.e2e.workers import SCRIPTED

pytestmark = [pytest.mark.real, pytest.mark.slow]

MANY = 12
LIMIT_BYTES = 400_000
PART = b"x" * 1000
FULL = "MISCONF: Redis can't save to its disk, and takes no writes until it can; is the disk full?"


class SmallDisk:
    """A Redis with an append-only file, whose files may be limited."""

    def __init__(self, folder: Path) -> None:
        self.url = f"unix://{folder}/s"
        files = ("--dir", str(folder), "--appendonly", "yes", "--save", "", "--appendfsync", "everysec")
        command = [find_server(), "--port", "0", "--unixsocket", f"{folder}/s", *files]
        # Python ignores the signal of a file that gets too large; so does a program it starts, which sees an error.
        self._process = subprocess.Popen(command, restore_signals=False, stdout=subprocess.DEVNULL)

    def limit(self, size: int) -> None:
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    async def fill(self) -> None:
        """Write until the disk is full."""
        self.limit(LIMIT_BYTES)
        async with Redis.from_url(self.url) as redis:
            for number in range(2 * LIMIT_BYTES // len(PART)):
                try:
                    await redis.set(f"filling:{number}", PART)
                except RedisError:
                    return
        pytest.fail("the disk is not full")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
async def small_disk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SmallDisk]:
    disk = SmallDisk(tmp_path_factory.mktemp("d"))
    try:
        async with Redis.from_url(disk.url) as redis:

            async def answers() -> bool:
                try:
                    return bool(await redis.ping())
                except RedisError:
                    return False

            await eventually(answers, "the server answers")
        yield disk
    finally:
        disk.close()


async def test_redis_disk_full(install: MakeInstallation, small_disk: SmallDisk) -> None:
    installation = await install(partitions=1, redis__url=small_disk.url)
    worker = await installation.workers.start(SCRIPTED).ready()
    known = [submission(plain_picture()) for _ in range(3)]
    await installation.publish(known)
    await installation.drained()
    await small_disk.fill()

    await installation.publish([*known, *(submission(plain_picture()) for _ in range(MANY))])
    await worker.said("waiting", dependency="redis", fault=FULL)
    late = installation.workers.start(SCRIPTED)
    await late.said("waiting", dependency="redis", fault=FULL)
    assert (worker.get("/live")[0], worker.get("/ready")[0]) == (200, 503)
    assert await installation.decisions() == len(known), "none without an abuse check"
    assert sum((await group_lag(installation.settings)).values()) >= MANY

    small_disk.limit(resource.RLIM_INFINITY)
    report = await installation.sound_report(60)
    assert (report.decided, report.dead_lettered) == (len(known) + MANY, 0)
    assert await installation.records(Topic.DEAD_LETTER) == []
    await late.said("worker_started")
    assert (worker.code, late.code) == (None, None)
