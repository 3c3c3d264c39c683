"""The storm: 400 submissions of real pictures through workers that are killed all the time.

Two workers of the product; SIGKILL at random moments, each time a new worker takes the place; a third worker
comes and goes; the broker is killed and started again. Then the checker reads the topics.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

import pytest

from stream.events.submissions import NewSubmission
from tests.e2e.fixtures import MakeCrew, MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.pictures import distinct_submissions
from tests.e2e.private_pair import PrivatePair
from tests.e2e.waiting import eventually
from tests.e2e.workers import Crew, Worker

pytestmark = [pytest.mark.local_services, pytest.mark.slow, pytest.mark.timeout(480)]

SEED = 20261121
SUBMISSIONS = 400
BEFORE = 60
CREW = 2
KILLS = 16
BROKER_KILLED_AFTER = 6
THIRD_JOINS_AFTER, THIRD_LEAVES_AFTER = 9, 12
#: A kill comes after this many further decisions, or when that takes too long: at once after a rebalance, too.
PROGRESS = (1, 14)
PATIENCE_S = (0.3, 4.0)
DRAIN_S = 120.0


class Storm:
    """Kills and replaces workers; publishes a portion of the submissions before every kill."""

    def __init__(self, installation: Installation, crew: Crew, pair: PrivatePair) -> None:
        self._installation = installation
        self._crew = crew
        self._pair = pair
        self._random = random.Random(SEED)
        self._third: Worker | None = None
        self.kills = 0

    async def rage(self, submissions: list[NewSubmission]) -> None:
        await self._installation.publish(submissions[:BEFORE])
        await asyncio.gather(*(self._crew.start().ready() for _ in range(CREW)))
        rest = submissions[BEFORE:]
        portion = -(-len(rest) // KILLS)
        for number in range(KILLS):
            await self._installation.publish(rest[number * portion : (number + 1) * portion])
            await self._let_some_work_be_done()
            await self._kill_one()
            await self._meanwhile(number + 1)

    async def _let_some_work_be_done(self) -> None:
        """Until some more decisions are there, or for a while: during a rebalance none come."""
        goal = await self._installation.decisions() + self._random.randint(*PROGRESS)
        deadline = time.monotonic() + self._random.uniform(*PATIENCE_S)

        async def enough() -> bool:
            return time.monotonic() > deadline or await self._installation.decisions() >= goal

        await eventually(enough, "the time for the next kill has come")

    async def _kill_one(self) -> None:
        """SIGKILL a random one of the workers that have partitions; another one starts in its place."""
        await eventually(self._working, "some worker has partitions")
        self._random.choice(self._working()).kill()
        self.kills += 1
        self._crew.start()

    def _replace_who_gave_up(self) -> None:
        """A worker whose start met the dead broker leaves with code 3; whoever runs workers starts it again."""
        for _ in range(CREW - len(self._crew.alive)):
            self._crew.start()

    def _working(self) -> list[Worker]:
        crew = [worker for worker in self._crew.alive if worker is not self._third]
        return [worker for worker in crew if worker.events("partitions_assigned")]

    async def _meanwhile(self, kills: int) -> None:
        if kills == BROKER_KILLED_AFTER:
            await self._pair.kill("kafka")
            await self._pair.start("kafka")
            self._replace_who_gave_up()
        if kills == THIRD_JOINS_AFTER:
            self._third = self._crew.start()
        if kills == THIRD_LEAVES_AFTER:
            assert self._third is not None
            await self._third.ready()
            self._third.terminate()
            assert await self._third.ended() == 0, self._third.output[-3000:]


async def test_storm_loses_nothing(
    install_private: MakeInstallation, private_pair: PrivatePair, crew_of: MakeCrew
) -> None:
    started = time.monotonic()
    installation = await install_private()
    crew = crew_of(installation)
    storm = Storm(installation, crew, private_pair)
    submissions = distinct_submissions(SUBMISSIONS)
    await storm.rage(submissions)
    await installation.drained(DRAIN_S)
    report = await installation.check()
    codes = Counter(worker.code for worker in crew.workers)
    await crew.stop()
    print(
        f"storm: {storm.kills} workers killed, the broker once; {report.submissions} submissions, "
        f"{report.decided} decided, {report.duplicates} duplicates, {len(report.lost)} lost, "
        f"{time.monotonic() - started:.0f} s"
    )
    assert storm.kills >= 15
    assert codes[-9] == storm.kills
    assert codes[0] == 1, "the third worker left when it was told to"
    assert set(codes) <= {None, -9, 0, 3}, "none ended by itself, but for want of the broker"
    assert codes[3] <= CREW
    assert report.sound, report.problems
    assert (report.submissions, report.decided, report.dead_lettered) == (SUBMISSIONS, SUBMISSIONS, 0)
