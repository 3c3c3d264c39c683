"""Members join and leave all the time: work goes on, and nothing is lost.

FAULTS_CHURN_S gives another length, for a run by hand: FAULTS_CHURN_S=300.
"""

from __future__ import annotations

import asyncio
import os
import time
from itertools import pairwise

import pytest

from stream.events.topics import Topic
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.pictures import plain_picture, submission
from tests.e2e.workers import SCRIPTED, Worker

CHURN_S = float(os.environ.get("FAULTS_CHURN_S", "12"))
#: A member joins or leaves so often; the last one that has joined stays.
EVERY_S = 3.0
MOST_MEMBERS, FEWEST_LEAVE = 4, 3
PUBLISHED_EACH = 8
LONGEST_STALL_S = 60.0

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(CHURN_S + 300)]


async def churned(installation: Installation, members: list[Worker]) -> tuple[list[Worker], int]:
    """Workers that were told to leave, and how many submissions were published meanwhile."""
    left, published, began = list[Worker](), 0, time.monotonic()
    while (elapsed := time.monotonic() - began) < CHURN_S or len(left) < FEWEST_LEAVE:
        await installation.publish(submission(plain_picture()) for _ in range(PUBLISHED_EACH))
        published += PUBLISHED_EACH
        joined = [worker for worker in members if worker.events("partitions_assigned")]
        if len(joined) > 1:
            members.remove(joined[0])
            left.append(joined[0])
            left[-1].terminate()
        elif len(members) < MOST_MEMBERS:
            members.append(installation.workers.start(SCRIPTED))
        await asyncio.sleep(max(EVERY_S - (time.monotonic() - began - elapsed), 0))
    return left, published


async def test_members_come_and_go(install: MakeInstallation) -> None:
    installation = await install()
    members = await installation.workers.run(2)
    left, published = await churned(installation, members)
    report = await installation.sound_report(LONGEST_STALL_S)
    assert (report.decided, report.dead_lettered) == (published, 0)
    times = sorted(record.appended_at_ms for record in await installation.records(Topic.DECISIONS))
    longest_s = max(after - before for before, after in pairwise(times)) / 1000
    print(f"{len(left)} left, {published} decided, {report.duplicates} duplicates, longest stall {longest_s:.1f} s")
    assert longest_s < LONGEST_STALL_S
    assert {await worker.ended() for worker in left} == {0}
    assert {worker.code for worker in members} == {None}
