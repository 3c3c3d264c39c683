"""Records that no stage can use, and a bug in every stage: each costs itself alone and stops nothing."""

from __future__ import annotations

import base64
import uuid
from collections import Counter

import orjson
import pytest

from config.catalogues.error_codes import ErrorCode
from stream.events.topics import Topic
from stream.kafka.agents.agents import STAGE_FAILED
from stream.kafka.clients.clients import producer
from tests.e2e.abuse_cases import answers, command, error_code, order
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation, set_aside
from tests.e2e.pictures import plain_picture, submission
from tests.e2e.workers import SCRIPTED

pytestmark = [pytest.mark.real, pytest.mark.slow]

READ = (Topic.SUBMISSIONS, Topic.DETECTIONS, Topic.COMMANDS)


async def put(installation: Installation, topic: Topic, key: bytes | None, value: bytes | None) -> None:
    """Publish a record as a client may that checks nothing."""
    async with producer(installation.settings.kafka) as client:
        batch = client.create_batch()
        batch.append(key=key, value=value, timestamp=None)
        await (await client.send_batch(batch, installation.topic(topic), partition=0))


async def test_records_without_key_and_value(install: MakeInstallation) -> None:
    installation = await install(partitions=1)
    worker = await installation.workers.start(SCRIPTED).ready()
    for topic in READ:
        await put(installation, topic, None, None)
    await installation.publish([submission(plain_picture())])
    letters = await set_aside(installation, len(READ))
    assert {dict(letter.headers)["source_topic"].decode() for letter in letters} == set(map(installation.topic, READ))
    await installation.drained()
    assert (await installation.decisions(), worker.code) == (1, None)


def detection_with(like: bytes, **changed: object) -> bytes:
    return orjson.dumps(orjson.loads(like) | changed)


async def test_detections_of_a_stranger(install: MakeInstallation) -> None:
    """Part of a decision, times at the end of all dates: neither is published, kept or ends a worker."""
    installation = await install(partitions=1)
    worker = await installation.workers.start(SCRIPTED).ready()
    new = submission(plain_picture())
    await installation.publish([new])
    await installation.drained()
    (sound,) = await installation.records(Topic.DETECTIONS)
    (decision,) = await installation.events(Topic.DECISIONS)
    part = base64.b64encode(orjson.dumps({"request_id": decision["request_id"]})).decode()
    assert sound.value is not None
    bare = {name: value for name, value in orjson.loads(sound.value).items() if name != "analysis"}
    await put(installation, Topic.DETECTIONS, sound.key, orjson.dumps(bare | {"decided": part}))
    for at_ms in (253_402_300_799_000, 2**63, -1):
        await put(installation, Topic.DETECTIONS, sound.key, detection_with(sound.value, appended_at_ms=at_ms))
    letters = await set_aside(installation, 4)
    assert {dict(letter.headers)["reason"] for letter in letters} == {b"BAD_DETECTION"}
    await installation.publish([new])
    await installation.drained()
    assert [event == decision for event in await installation.events(Topic.DECISIONS)] == [True, True]
    assert worker.code is None


async def test_bug_in_every_stage(install: MakeInstallation) -> None:
    """The record that meets a bug is set aside, its submission answered, and all others go their way."""
    installation = await install(partitions=1)
    worker = await installation.workers.start(SCRIPTED, "--bug").ready()
    bugs = {name: submission(plain_picture(), session_id=f"bug-in-{name}") for name in ("detect", "decide")}
    sound = [submission(plain_picture()) for _ in range(4)]
    await installation.publish([*sound[:2], *bugs.values(), *sound[2:]])
    ordered = [
        command("correlation.reset", correlation_id=str(uuid.uuid4()), note=note)
        for note in ("bug-in-command", "nothing special")
    ]
    await order(installation, ordered, key="one")
    await answers(installation, [ordered[1]["command_id"]])
    letters = await set_aside(installation, 3)
    assert Counter(dict(letter.headers)["reason"] for letter in letters) == {STAGE_FAILED.encode(): 3}
    report = await installation.sound_report()
    assert report.decided == len(bugs) + len(sound)
    codes = {event["submission_id"]: error_code(event) for event in await installation.events(Topic.DECISIONS)}
    assert {codes.pop(new.submission_id) for new in bugs.values()} == {ErrorCode.SERVER_ERROR}
    assert set(codes.values()) == {None}
    assert worker.code is None
    assert "a bug in a stage" not in worker.output, "an exception's words may quote the record"


async def test_failing_deploy_opens_breaker(install: MakeInstallation) -> None:
    """A release that fails every picture stops before it has answered everybody."""
    installation = await install(partitions=1)
    worker = await installation.workers.start(SCRIPTED, "--bug").ready()
    everybody = [submission(plain_picture(), session_id="bug-in-detect") for _ in range(60)]
    await installation.publish(everybody)
    assert await worker.ended() == 1
    (said,) = worker.events("breaker_open")
    assert "in a row" in said["why"]
    await installation.workers.start(SCRIPTED).ready()
    await installation.sound_report()
    decided = {event["submission_id"]: error_code(event) for event in await installation.events(Topic.DECISIONS)}
    codes = Counter(decided.values())
    assert sum(codes.values()) == len(everybody)
    assert codes[None] >= len(everybody) - installation.settings.delivery.breaker_failures
