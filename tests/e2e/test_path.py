"""Bytes in, decision out: a worker of the product, real pictures, every form a submission may have."""

from __future__ import annotations

import orjson
import pytest

from stream.events.message.messages import Record
from stream.events.topics import Topic
from stream.events.wire.submissions import Form
from tests.e2e.checker import check
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.pictures import distinct_submissions
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

EACH_FORM = 4


async def all_decisions(installation: Installation, number: int) -> list[Record]:
    """The decisions, once there are that many. The embedded broker tells no lag, so they are counted."""
    found: list[Record] = []

    async def enough() -> bool:
        found[:] = await installation.records(Topic.DECISIONS)
        return len(found) >= number

    await eventually(enough, f"{number} decisions")
    return found


async def test_every_form_is_decided(install: MakeInstallation) -> None:
    installation = await install()
    worker = await installation.workers.start().ready()
    submissions = distinct_submissions(EACH_FORM * len(Form))
    for number, form in enumerate(Form):
        await installation.publish(submissions[number * EACH_FORM : (number + 1) * EACH_FORM], form)
    decisions = await all_decisions(installation, len(submissions))

    submitted = await installation.records(Topic.SUBMISSIONS)
    report = check(submitted, decisions, await installation.records(Topic.DEAD_LETTER), lag={})
    assert report.sound, report.problems
    assert (report.submissions, report.decided, report.dead_lettered) == (len(submissions), len(submissions), 0)
    events = [orjson.loads(decision.value or b"") for decision in decisions]
    assert {event["submission_id"] for event in events} == {new.submission_id for new in submissions}
    assert {event["status"] for event in events} == {"success"}, "the pictures show a face"
    assert all(len(event["result"]["signals"]) == 8 for event in events)
    assert worker.get("/ready")[0] == 200
    worker.terminate()
    assert await worker.ended() == 0
