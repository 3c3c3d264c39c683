"""The broker's disk is full, and the broker ends itself: workers wait or leave, and nothing is lost.

A limit on the size of its files is what this broker gets instead of a full disk; the system's answer goes the same way.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.e2e.analysers import begun, marked
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.pictures import plain_picture, submission
from tests.e2e.private_pair import PrivatePair
from tests.e2e.waiting import eventually
from tests.e2e.workers import SCRIPTED

pytestmark = [pytest.mark.local_services, pytest.mark.slow]

MANY = 8
#: For the worker that leaves soon.
IMPATIENT = {"delivery__output_patience_s": "4", "delivery__send_timeout_s": "2"}


async def test_broker_disk_full(install_private: MakeInstallation, private_pair: PrivatePair, tmp_path: Path) -> None:
    """A picture is in flight when the broker can't write any more."""
    installation = await install_private(partitions=2)
    gate = tmp_path / "gate"
    start = installation.workers.start
    stays, leaves = start(SCRIPTED, delivery__output_patience_s="300"), start(SCRIPTED, **IMPATIENT)
    await asyncio.gather(stays.ready(), leaves.ready())
    await installation.publish(submission(plain_picture()) for _ in range(4))
    await installation.drained()
    held = [submission(marked(plain_picture(), "hold", gate)), *(submission(plain_picture()) for _ in range(MANY))]
    await installation.publish(held)
    await eventually(begun(gate).exists, "a picture is in flight")

    private_pair.fill_disk()
    gate.touch()

    async def has_ended() -> bool:
        return not await private_pair.answers()

    await eventually(has_ended, "the broker ends itself", 30)
    assert await leaves.ended(30) == 3
    assert "kafka did not answer" in leaves.events("gave_up_waiting")[-1]["why"]
    supervised = start()
    await supervised.said("waiting", dependency="kafka")
    await stays.said("waiting", dependency="kafka")
    assert (stays.get("/live")[0], stays.get("/ready")[0]) == (200, 503)
    assert supervised.code is None, "no quick end, which a supervisor would answer with a start, again and again"

    await private_pair.start("kafka")
    report = await installation.sound_report()
    assert (report.decided, report.dead_lettered) == (4 + len(held), 0)
    await supervised.said("worker_started")
    assert (stays.code, supervised.code) == (None, None)
