"""The storm: 400 submissions of real pictures through workers that are killed all the time.

Two workers of the product; SIGKILL at random moments, each time a new worker takes the place; a third worker
comes and goes; the broker is killed and started again. Then the checker reads the topics.
"""

from __future__ import annotations

import random
import time

import pytest

from stream.events.wire.submissions import NewSubmission
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.pictures import distinct_submissions
from tests.e2e.private_pair import PrivatePair
from tests.e2e.workers import LIVENESS, Worker

pytestmark = [pytest.mark.local_services, pytest.mark.slow, pytest.mark.timeout(480)]

SEED = 20261121
SUBMISSIONS = 400
BEFORE = 60
WORKERS = 2
KILLS = 16
BROKER_KILLED_AFTER = 6
THIRD_JOINS_AFTER, THIRD_LEAVES_AFTER = 9, 12
#: A kill comes after this many further decisions, or when that takes too long: at once after a rebalance, too.
PROGRESS = (1, 14)
PATIENCE_S = (0.3, 4.0)
DRAIN_S = 120.0


class Storm:
    """Kills and replaces workers; publishes a portion of the submissions before every kill."""

    def __init__(self, installation: Installation, pair: PrivatePair) -> None:
        self._installation = installation
        self._workers = installation.workers
        self._pair = pair
        self._random = random.Random(SEED)
        self._third: Worker | None = None
        self.kills = 0

    async def rage(self, submissions: list[NewSubmission]) -> None:
        await self._installation.publish(submissions[:BEFORE])
        await self._workers.run(WORKERS, LIVENESS)
        rest = submissions[BEFORE:]
        portion = -(-len(rest) // KILLS)
        for number in range(KILLS):
            await self._installation.publish(rest[number * portion : (number + 1) * portion])
            await self._installation.progress(self._random, PROGRESS, PATIENCE_S)
            await self._workers.replace_one(self._random, LIVENESS, but=self._third)
            self.kills += 1
            await self._meanwhile(number + 1)

    def _replace_who_gave_up(self) -> None:
        """A worker whose start met the dead broker leaves with code 3; a supervisor would start it again."""
        for _ in range(WORKERS - len(self._workers.alive)):
            self._workers.start()

    async def _meanwhile(self, kills: int) -> None:
        if kills == BROKER_KILLED_AFTER:
            await self._pair.kill("kafka")
            await self._pair.start("kafka")
            self._replace_who_gave_up()
        if kills == THIRD_JOINS_AFTER:
            self._third = self._workers.start()
        if kills == THIRD_LEAVES_AFTER:
            assert self._third is not None
            await self._third.ready()
            self._third.terminate()
            assert await self._third.ended() == 0, self._third.output[-3000:]


async def test_storm_loses_nothing(install_private: MakeInstallation, private_pair: PrivatePair) -> None:
    started = time.monotonic()
    installation = await install_private()
    storm = Storm(installation, private_pair)
    await storm.rage(distinct_submissions(SUBMISSIONS))
    await installation.drained(DRAIN_S)
    report = await installation.check()
    codes = installation.workers.codes
    await installation.workers.stop()
    print(
        f"storm: {storm.kills} workers killed, the broker once; {report.submissions} submissions, "
        f"{report.decided} decided, {report.duplicates} duplicates, {len(report.lost)} lost, "
        f"{time.monotonic() - started:.0f} s"
    )
    assert storm.kills >= 15
    assert codes[-9] == storm.kills
    assert codes[0] == 1, "the third worker left when it was told to"
    assert set(codes) <= {None, -9, 0, 3}, "none ended by itself, but for want of the broker"
    assert codes[3] <= WORKERS
    assert report.sound, report.problems
    assert (report.submissions, report.decided, report.dead_lettered) == (SUBMISSIONS, SUBMISSIONS, 0)
