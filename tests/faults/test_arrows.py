"""A worker killed at each arrow of the path, by name: nothing is lost, decided twice, or counted twice."""

from __future__ import annotations

import signal
import uuid
from collections import Counter
from pathlib import Path

import pytest

from stream.events.topics import Topic
from tests.e2e.abuse_cases import LIVE, AbuseTable, failures, flag_contents, picture, publish
from tests.e2e.checker import group_lag
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.mortal_worker import ARROWS, mark
from tests.e2e.supervision import supervised
from tests.e2e.workers import Worker

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(480)]

MORTAL = ("tests.e2e.mortal_worker",)
FLAGS = "flags-stored"


async def test_killed_at_each_arrow(install: MakeInstallation, tmp_path: Path) -> None:
    installation = await install(partitions=1)
    honest = [picture(str(uuid.uuid4()), LIVE, session_id=mark(arrow)) for arrow in ARROWS if arrow != FLAGS]
    attack = failures(str(uuid.uuid4()), 8, session_id=mark(FLAGS))
    await publish(installation, [*attack, *honest])
    met = tmp_path / "met"
    met.mkdir()

    async def done(_worker: Worker) -> bool:
        return not any((await group_lag(installation.settings)).values())

    codes = await supervised(installation, MORTAL, str(met), done=done, most_deaths=len(ARROWS))
    report = await installation.sound_report()
    assert codes == [-signal.SIGKILL] * len(ARROWS)
    assert (report.decided, report.dead_lettered) == (len(honest) + len(attack), 0)
    assert report.duplicates > 0, "some arrows lie behind a decision"
    assert await counted(installation) == Counter(await told(installation))
    published, held = await flag_contents(installation), await AbuseTable(installation).flag_events()
    assert {name: set(values) for name, values in published.items()} == {name: {each} for name, each in held.items()}


async def counted(installation: Installation) -> Counter[str]:
    """Attempts in the journals of correlation ids: how often each."""
    table = await AbuseTable(installation).dump()
    journals = [table[key] for key in table if key.startswith("journal:") and "|correlation_id|" in key]
    return Counter(line.decode().rpartition(" ")[2] for journal in journals for line, _ in journal)


async def told(installation: Installation) -> set[str]:
    """Attempts that decisions tell of."""
    observations = [event["abuse"]["observation"] for event in await installation.events(Topic.DECISIONS)]
    return {each["counted_as"] for each in observations if each is not None}
