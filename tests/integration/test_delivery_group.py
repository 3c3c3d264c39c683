"""Workers come and go in the group: a clean stop leaves nothing to repeat, roles share the work."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import orjson
import pytest

from stream.events.topics import Topic
from stream.kafka.worker.worker import Role
from tests.e2e.analysers import begun, marked
from tests.e2e.checker import offsets
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import long_hold
from tests.e2e.pictures import plain_picture, submission
from tests.e2e.waiting import eventually
from tests.e2e.workers import SCRIPTED, Worker

pytestmark = [pytest.mark.real, pytest.mark.slow]

#: Submissions published at a time while workers come and go.
LOAD = 20


async def test_clean_stop_repeats_nothing(install: MakeInstallation, tmp_path: Path) -> None:
    """SIGTERM with a picture in flight: it is decided and committed, and a new worker finds nothing to repeat."""
    installation = await install(partitions=2, detection__slots="2", **long_hold(tmp_path))
    gate = tmp_path / "gate"
    worker = await installation.workers.start(SCRIPTED).ready()
    held = submission(marked(plain_picture(), "hold", gate))
    await installation.publish([held])
    await eventually(begun(gate).exists, "a picture is in flight")
    await installation.publish(submission(plain_picture()) for _ in range(8))
    worker.terminate()
    await eventually(lambda: worker.get("/live")[0] == 200, "it still answers while it finishes")
    assert worker.code is None
    gate.touch()
    assert await worker.ended() == 0
    assert worker.events("worker_stopped")
    detections = await installation.records(Topic.DETECTIONS)
    assert held.correlation_id.encode() in {record.key for record in detections}, "it was finished"
    for source, outputs in ((Topic.SUBMISSIONS, Topic.DETECTIONS), (Topic.DETECTIONS, Topic.DECISIONS)):
        committed = sum(read for _, read in (await offsets(installation.settings, source)).values())
        assert committed == len(await installation.records(outputs)), f"every finished one of {source} is committed"

    await installation.workers.start(SCRIPTED).ready()
    after = await installation.sound_report()
    assert (after.decided, after.duplicates) == (9, 0)


async def has_nothing_to_read(worker: Worker) -> None:
    """For a while; what isn't so would show at once and stay."""
    for _ in range(20):
        _, body = await asyncio.to_thread(worker.get, "/ready")
        state = orjson.loads(body)
        assert (state["lag"], state["in_flight"]) == (0, 0)
        await asyncio.sleep(0.1)


async def test_nothing_read_is_no_lag(
    install: MakeInstallation,
) -> None:
    """Otherwise the watchdog would end a worker for not reading what there isn't."""
    partitions = 2
    installation = await install(partitions)
    first = await installation.workers.start(SCRIPTED).ready()
    await installation.publish(submission(plain_picture()) for _ in range(LOAD))
    await installation.drained()
    first.terminate()
    assert await first.ended() == 0

    again = await installation.workers.start(SCRIPTED).ready()
    await again.said("partitions_assigned", count=len(Role) * partitions)
    await has_nothing_to_read(again)
    second = await installation.workers.start(SCRIPTED).ready()
    await has_nothing_to_read(second)
    second.terminate()
    assert await second.ended() == 0
    await again.ready()
    await has_nothing_to_read(again)
    await installation.publish([submission(plain_picture())])
    await installation.sound_report()


async def test_joining_and_leaving_under_load(install: MakeInstallation) -> None:
    """Submissions keep coming until every change in the group is over."""
    partitions = 4
    installation = await install(partitions)
    changed = asyncio.Event()

    async def changes() -> None:
        second = await installation.workers.start(SCRIPTED).ready()
        await second.said("partitions_assigned", count=len(Role) * partitions // 2)
        first.terminate()
        assert await first.ended() == 0
        await installation.workers.start(SCRIPTED).ready()

    async def decided(number: int) -> bool:
        return await installation.decisions() >= number

    async def publish_meanwhile() -> int:
        published = 0
        while not changed.is_set():
            await installation.publish(submission(plain_picture()) for _ in range(LOAD))
            published += LOAD
            await eventually(partial(decided, published - LOAD), "the workers keep up")
        return published

    first = await installation.workers.start(SCRIPTED).ready()
    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(publish_meanwhile())
        await changes()
        changed.set()
    await installation.drained()
    report = await installation.check()
    print(f"join and leave: {report.duplicates} duplicates of {report.decided}")
    assert report.sound, report.problems
    assert report.decided == publishing.result()


async def test_roles_in_separate_processes(install: MakeInstallation) -> None:
    installation = await install()
    detecting, deciding = (installation.workers.start(SCRIPTED, "--roles", role) for role in ("detect", "decide"))
    await asyncio.gather(detecting.ready(), deciding.ready())
    await installation.publish(submission(plain_picture()) for _ in range(40))
    report = await installation.sound_report()
    assert report.decided == 40
    assert 'liveness_records_total{agent="detect"} 40.0' in detecting.get("/metrics")[1]
    assert 'liveness_records_total{agent="decide"} 40.0' in deciding.get("/metrics")[1]
    assert 'agent="decide"' not in detecting.get("/metrics")[1]
