"""A stage that ends its process outright, without an exception: found over several lives, set aside and answered."""

from __future__ import annotations

from functools import partial

import pytest

from config.error_codes import ErrorCode
from stream.events.topics import Topic
from stream.kafka.agents import STAGE_ENDED
from tests.e2e.abuse_cases import error_code
from tests.e2e.checker import group_lag
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.pictures import plain_picture, submission
from tests.e2e.scripted_worker import DIED
from tests.e2e.waiting import eventually
from tests.e2e.workers import SCRIPTED, Worker

pytestmark = [pytest.mark.real, pytest.mark.slow]

MOST_DEATHS = 6


async def supervised(installation: Installation) -> int:
    """Start a worker again whenever the one before died, until everything is read; how many died."""
    for died in range(MOST_DEATHS + 1):
        worker = installation.workers.start(SCRIPTED, "--bug")
        await eventually(partial(died_or_done, installation, worker), "a death, or an end of the work", 90)
        if worker.code is None:
            return died
        assert worker.code == DIED, worker.output[-3000:]
    pytest.fail(f"more than {MOST_DEATHS} deaths")


async def died_or_done(installation: Installation, worker: Worker) -> bool:
    return worker.code is not None or (
        bool(worker.events("stage_ended")) and not any((await group_lag(installation.settings)).values())
    )


async def test_stage_that_ends_its_process(install: MakeInstallation) -> None:
    installation = await install(partitions=1)
    poison = submission(plain_picture(), session_id="death-in-detect")
    sound = [submission(plain_picture()) for _ in range(19)]
    await installation.publish([*sound[:9], poison, *sound[9:]])
    died = await supervised(installation)
    report = await installation.sound_report()
    assert report.decided == len(sound) + 1
    (letter,) = await installation.records(Topic.DEAD_LETTER)
    assert dict(letter.headers)["reason"] == STAGE_ENDED.encode()
    codes = {event["submission_id"]: error_code(event) for event in await installation.events(Topic.DECISIONS)}
    assert codes.pop(poison.submission_id) == ErrorCode.SERVER_ERROR
    assert set(codes.values()) == {None}
    assert 2 <= died <= MOST_DEATHS
