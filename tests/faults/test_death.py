"""A stage that ends its process outright, without an exception: found over two lives, set aside and answered."""

from __future__ import annotations

import uuid

import pytest

from config.catalogues.error_codes import ErrorCode
from stream.events.topics import Topic
from stream.kafka.agents.agents import STAGE_ENDED
from stream.kafka.agents.caution import AHEAD, PartitionNote
from stream.redis.client import connect
from stream.redis.partition_notes import RedisPartitionNotes
from tests.e2e.abuse_cases import answers, command, error_code, order
from tests.e2e.checker import group_lag
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.pictures import plain_picture, submission
from tests.e2e.scripted_worker import DIED
from tests.e2e.supervision import supervised
from tests.e2e.workers import LIVENESS, SCRIPTED, Worker

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(480)]

STAGES = ("detect", "decide", "command")
#: Two for each stage, with all that are read before it; and two for a second detection of the record that ends the
#: decide stage, where a death in detection comes between its output and the acknowledgement.
MOST_DEATHS = 2 * len(STAGES) + 2


async def test_stages_that_end_their_process(install: MakeInstallation) -> None:
    """A record in each stage on which the process ends, among sound ones."""
    installation = await install(partitions=1)
    poison = [submission(plain_picture(), session_id=f"death-in-{stage}") for stage in STAGES[:2]]
    sound = [submission(plain_picture()) for _ in range(18)]
    ordered = [
        command("correlation.reset", correlation_id=str(uuid.uuid4()), note=note)
        for note in ("sound", "death-in-command", "sound too")
    ]
    await installation.publish([*sound[:9], *poison, *sound[9:]])
    await order(installation, ordered, key="one")

    async def done(worker: Worker) -> bool:
        ended = len(await installation.records(Topic.DEAD_LETTER)) >= len(STAGES)
        return ended and not any((await group_lag(installation.settings)).values())

    codes = await supervised(installation, SCRIPTED, "--bug", done=done, most_deaths=MOST_DEATHS)
    assert set(codes) == {DIED}
    report = await installation.sound_report()
    assert report.decided == len(sound) + len(poison)
    letters = {  # repeats are those of a worker that died before its commit
        (headers["reason"], headers["source_topic"].decode())
        for headers in (dict(letter.headers) for letter in await installation.records(Topic.DEAD_LETTER))
    }
    read = (Topic.SUBMISSIONS, Topic.DETECTIONS, Topic.COMMANDS)
    assert letters == {(STAGE_ENDED.encode(), installation.topic(topic)) for topic in read}
    decided = {event["submission_id"]: error_code(event) for event in await installation.events(Topic.DECISIONS)}
    assert {decided.pop(new.submission_id) for new in poison} == {ErrorCode.SERVER_ERROR}
    assert set(decided.values()) == {None}
    await answers(installation, [ordered[0]["command_id"], ordered[2]["command_id"]])


async def test_sound_record_is_tried(install: MakeInstallation) -> None:
    """A worker was killed while one picture was alone in work: the next worker's trial analyses that picture."""
    installation = await install(partitions=1)
    settings = installation.settings
    calls = connect(settings.redis)
    note = PartitionNote(first=0, covers=AHEAD, alone=0)
    await RedisPartitionNotes(calls, settings.redis_prefix).put({(installation.topic(Topic.SUBMISSIONS), 0): note})
    await calls.close()
    await installation.publish([submission(plain_picture()), submission(plain_picture())])
    worker = await installation.workers.start(LIVENESS).ready()
    await installation.drained(90)
    report = await installation.sound_report()
    assert (report.decided, report.dead_lettered) == (2, 0)
    assert worker.events("trial_began")
    codes = {error_code(event) for event in await installation.events(Topic.DECISIONS)}
    assert codes == {None}
