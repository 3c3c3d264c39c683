"""A fault a minute under load, by hand, for as long as wanted: FAULTS_SOAK_MIN=60 pytest -s tests/faults/soak.py

One worker lives through all faults; its memory and open files are told every minute.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import linear_regression

import pytest
from redis.asyncio import Redis

from abuse.ledger.journal import LINES_REMEMBERED
from detectors.pool.memory import resident_mib
from tests.e2e.checker import group_lag
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.pictures import plain_picture, submission
from tests.e2e.private_pair import PrivatePair
from tests.e2e.waiting import eventually
from tests.e2e.workers import SCRIPTED, Worker

MINUTES = int(os.environ.get("FAULTS_SOAK_MIN", "20"))
EACH_S = 60.0
PUBLISHED_EACH_S = 5
FROZEN_S = 15.0
#: What a worker remembers of journals is full before the first fault, in each of two workers.
FILLED_WITH, FILLED_AT_ONCE = 2 * LINES_REMEMBERED, 64
#: Growth is told from the fourth minute on, and judged once it was seen for long.
WARM_MIN, JUDGED_MIN = 3, 60
MOST_GROWTH_AN_HOUR = 0.01
MOST_FILES = 20

pytestmark = [
    pytest.mark.local_services,
    pytest.mark.slow,
    pytest.mark.timeout(MINUTES * 120 + 3600),
]


@dataclass
class Soak:
    installation: Installation
    pair: PrivatePair
    elder: Worker
    other: Worker

    async def worker_killed(self) -> None:
        self.other.kill()
        self.other = self.installation.workers.start(SCRIPTED)

    async def worker_stopped(self) -> None:
        self.other.terminate()
        await self.other.ended()
        self.other = self.installation.workers.start(SCRIPTED)

    async def redis_killed(self) -> None:
        await self.pair.kill("redis")
        await self.pair.start("redis")

    async def redis_frozen(self) -> None:
        async with Redis.from_url(self.installation.settings.redis.url.get_secret_value()) as redis:
            pid = int((await redis.info("server"))["process_id"])
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(FROZEN_S)
        finally:
            os.kill(pid, signal.SIGCONT)

    async def broker_killed(self) -> None:
        await self.pair.kill("kafka")
        await self.pair.start("kafka")

    @property
    def faults(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        return (self.worker_killed, self.redis_frozen, self.broker_killed, self.worker_stopped, self.redis_killed)


async def test_fault_a_minute(install_private: MakeInstallation, private_pair: PrivatePair) -> None:
    installation = await install_private()
    soak = Soak(installation, private_pair, *await installation.workers.run(2))
    published, seen = await fill(installation), list[tuple[float, float, int]]()
    began = time.monotonic()
    for minute, fault in zip(range(MINUTES), cycle(soak.faults), strict=False):
        while time.monotonic() < began + minute * EACH_S + EACH_S / 2:
            published += await publish(installation)
        await fault()
        while time.monotonic() < began + (minute + 1) * EACH_S:
            published += await publish(installation)
        seen.append((minute + 1, resident_mib(soak.elder.pid)[0], open_files(soak.elder)))
        print(
            f"minute {minute + 1}: {fault.__name__}, {published} published, {seen[-1][1]:.1f} MiB, {seen[-1][2]} files"
        )
        assert soak.elder.code is None, soak.elder.output[-3000:]
        if soak.other.code is not None:  # its start met the dead broker; a supervisor would start it again
            soak.other = installation.workers.start(SCRIPTED)
    report = await installation.sound_report(120)
    assert (report.decided, report.dead_lettered) == (published, 0)
    told = seen[WARM_MIN:]
    growth = growth_an_hour(told) if len(told) > 1 else 0.0
    print(f"{published} decided, {report.duplicates} duplicates; memory {growth:+.1%} an hour over {len(told)} minutes")
    assert seen[-1][2] < seen[0][2] + MOST_FILES
    assert MINUTES < JUDGED_MIN or growth < MOST_GROWTH_AN_HOUR


async def fill(installation: Installation) -> int:
    """As many submissions as fill the workers' memory, all decided."""
    for _ in range(0, FILLED_WITH, FILLED_AT_ONCE):
        await installation.publish(submission(plain_picture()) for _ in range(FILLED_AT_ONCE))
    print(f"{FILLED_WITH} published to fill what workers remember")

    async def decided() -> bool:
        return not any((await group_lag(installation.settings)).values())

    await eventually(decided, "all decided", FILLED_WITH / 10)
    return FILLED_WITH


async def publish(installation: Installation) -> int:
    """A second's worth of submissions."""
    began = time.monotonic()
    await installation.publish(submission(plain_picture()) for _ in range(PUBLISHED_EACH_S))
    await asyncio.sleep(max(1 - (time.monotonic() - began), 0))
    return PUBLISHED_EACH_S


def open_files(worker: Worker) -> int:
    return len(list(Path(f"/proc/{worker.pid}/fd").iterdir()))


def growth_an_hour(seen: list[tuple[float, float, int]]) -> float:
    """Share of the memory by which a straight line through what was seen grows in an hour."""
    slope, begin = linear_regression([minute for minute, _, _ in seen], [mib for _, mib, _ in seen])
    return slope * 60 / (begin + slope * seen[0][0])
