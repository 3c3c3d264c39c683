"""More submissions than a worker can take: they wait on the topic, not in memory."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from detectors.pool.memory import resident_mib
from stream.events.topics import Topic
from stream.events.wire.submissions import submission_output
from stream.kafka.clients.clients import producer
from tests.e2e.analysers import begun, marked
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import long_hold
from tests.e2e.pictures import plain_picture, submission
from tests.e2e.waiting import eventually
from tests.e2e.workers import SCRIPTED

pytestmark = [pytest.mark.real, pytest.mark.slow]

MIB = 2**20
FLOOD, EACH_MIB = 40, 9
#: Records in hand, those read ahead, and what a fetch or two hold: 165 to 196 MiB measured, 213 on a busy machine.
MOST_MIB = 240


async def test_memory_stays_flat(install: MakeInstallation, tmp_path: Path) -> None:
    """A slot is held while 360 MiB of pictures come; what the worker holds of them is bounded."""
    installation = await install(partitions=1, **long_hold(tmp_path))
    worker = await installation.workers.start(SCRIPTED).ready()
    gate = tmp_path / "gate"
    await installation.publish([submission(marked(plain_picture(), "hold", gate))])
    await eventually(begun(gate).exists, "a picture is in hand")
    before = resident_mib(worker.pid)[0]
    large = plain_picture() + bytes(EACH_MIB * MIB)
    async with producer(installation.settings.kafka) as client:
        for _ in range(FLOOD):
            output = submission_output(submission(large), installation.topic(Topic.SUBMISSIONS))
            await client.send_and_wait(output.topic, key=output.key, value=output.value, headers=list(output.headers))
    await asyncio.sleep(3)  # for as much as the worker would read meanwhile
    gate.touch()
    await installation.drained()
    assert resident_mib(worker.pid)[1] - before < MOST_MIB < FLOOD * EACH_MIB
    assert (await installation.sound_report()).decided == FLOOD + 1
