"""The checker can fail: with Faust's own acks a crash loses the first event, with ours it doesn't.

One partition. The first picture waits at a gate, the ones behind it are decided, offsets are committed, the
worker is killed with SIGKILL; then the gate is opened and a healthy worker reads what is left.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.events.topics import Topic
from tests.e2e.analysers import begun, marked
from tests.e2e.checker import Report, offsets
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation, long_hold
from tests.e2e.pictures import plain_picture, submission
from tests.e2e.waiting import eventually
from tests.e2e.workers import NAIVE, SCRIPTED

pytestmark = [pytest.mark.real, pytest.mark.slow]

BEHIND = 12


async def committed_past_the_others(installation: Installation) -> bool:
    """A commit took place after every picture behind the first was decided: detections are all committed."""
    detections = await offsets(installation.settings, Topic.DETECTIONS)
    return all(end == committed == BEHIND for end, committed in detections.values())


async def killed_behind_a_slow_first(
    command: tuple[str, ...], install: MakeInstallation, folder: Path
) -> tuple[Report, int, str]:
    """The scenario with this worker: the report afterwards, what was committed before the kill, the first's id."""
    installation = await install(partitions=1, detection__slots="3", detection__read_ahead="8", **long_hold(folder))
    gate = folder / "gate"
    first = submission(marked(plain_picture(), "hold", gate))
    worker = await installation.workers.start(command).ready()
    await installation.publish([first, *(submission(plain_picture()) for _ in range(BEHIND))])
    await eventually(begun(gate).exists, "the first picture is being analysed")
    await eventually(lambda: committed_past_the_others(installation), "the others are decided and committed")
    ((_, committed),) = (await offsets(installation.settings, Topic.SUBMISSIONS)).values()
    worker.kill()
    gate.touch()
    await installation.workers.start(SCRIPTED).ready()
    await installation.drained()
    return await installation.check(), committed, first.submission_id


async def test_naive_acks_lose_one(install: MakeInstallation, tmp_path: Path) -> None:
    """Acknowledgements of Faust commit past the event in flight."""
    report, committed, _ = await killed_behind_a_slow_first(NAIVE, install, tmp_path)
    print(f"naive acks: committed {committed} of {BEHIND + 1} with the first in flight, lost {len(report.lost)}")
    assert committed > 0, "the naive worker must have committed past the event in flight"
    assert not report.sound
    assert len(report.lost) == 1
    assert set(report.problems) == {"lost"}
    assert (report.submissions, report.decided) == (BEHIND + 1, BEHIND)


async def test_in_order_acks_lose_nothing(install: MakeInstallation, tmp_path: Path) -> None:
    report, committed, _ = await killed_behind_a_slow_first(SCRIPTED, install, tmp_path)
    print(f"in-order acks: committed {committed}, duplicates {report.duplicates}, lost {len(report.lost)}")
    assert committed == 0, "nothing may be committed while the first is in flight"
    assert report.sound, report.problems
    assert report.decided == BEHIND + 1
    assert report.duplicates >= 1, "the ones behind the first were read again"
