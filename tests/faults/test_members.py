"""Members of the group that come, go, and wake up after others have taken their work."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from stream.events.topics import Topic
from tests.e2e.analysers import begun, marked
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import long_hold
from tests.e2e.pictures import plain_picture, submission
from tests.e2e.waiting import eventually
from tests.e2e.workers import SCRIPTED

pytestmark = [pytest.mark.real, pytest.mark.slow]


async def test_sleeper_wakes(install: MakeInstallation, tmp_path: Path) -> None:
    """A worker sleeps beyond its session with a picture in hand, another decides the picture, and the first wakes: what
    the sleeper still publishes is the same decision."""
    installation = await install(partitions=1, **long_hold(tmp_path))
    sleeper = await installation.workers.start(SCRIPTED).ready()
    gate = tmp_path / "gate"
    held = submission(marked(plain_picture(), "hold", gate))
    await installation.publish([held, submission(plain_picture())])
    await eventually(begun(gate).exists, "a picture is in hand")
    joined = len(sleeper.events("partitions_assigned"))
    os.kill(sleeper.pid, signal.SIGSTOP)
    try:
        gate.touch()
        other = await installation.workers.start(SCRIPTED).ready()

        async def decided() -> bool:
            return await installation.decisions() >= 2

        await eventually(decided, "the other worker decides both", 90)
    finally:
        os.kill(sleeper.pid, signal.SIGCONT)
    # Before it joins again, all that it had in hand is published or dropped.
    await eventually(lambda: len(sleeper.events("partitions_assigned")) > joined, "the sleeper joins again", 90)
    detections = [record.key for record in await installation.records(Topic.DETECTIONS)]
    assert detections.count(held.correlation_id.encode()) == 2, "the sleeper published what it had in hand"
    await installation.publish(submission(plain_picture()) for _ in range(4))
    report = await installation.sound_report()
    assert report.decided == 6
    decisions = {record.value for record in await installation.records(Topic.DECISIONS)}
    assert len(decisions) == 6
    assert other.code is None
