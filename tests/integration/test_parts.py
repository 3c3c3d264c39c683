"""Submissions in parts on a broker: a detector group of strangers, and frames whose workers are killed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stream.events.message.messages import Record
from stream.events.topics import Topic
from stream.events.wire.detection_codec import detection_output
from stream.events.wire.submissions import NewSubmission
from stream.kafka.clients.clients import producer, send
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.pictures import plain_picture
from tests.e2e.waiting import eventually
from tests.e2e.workers import SCRIPTED
from tests.unit.stream.builders import ids
from tests.unit.stream.json_schema import DECISION_SCHEMA, violations
from tests.unit.stream.pipeline.join_cases import COUNT, event, frame

SECRET = "of a group with more than thirty-two characters"
RECORD_KEYS = json.dumps([{"id": "r1", "secret": "of workers, with more than thirty-two characters"}])
GROUP_KEYS = json.dumps([{"group": "depth", "secret": SECRET}])

StartGroup = Callable[[Installation], None]


@pytest.fixture
def start_group() -> AsyncIterator[StartGroup]:
    """Start the strangers' process, which ends with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(installation: Installation) -> None:
        topics = [installation.topic(each) for each in (Topic.SUBMISSIONS, Topic.DETECTIONS)]
        servers = installation.settings.kafka.bootstrap_servers
        script = Path(__file__).with_name("foreign_group.py")
        asked = ["--servers", servers, "--submissions", topics[0], "--detections", topics[1], "--name", "depth"]
        asked += ["--group-id", f"{installation.settings.kafka.topic_prefix}detector-depth", "--secret", SECRET]
        there = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        started.append(subprocess.Popen([sys.executable, script, *asked], env=there, cwd=script.anchor))

    yield start
    for process in started:
        process.kill()
        process.wait()


async def with_group(install: MakeInstallation, folder: Path, **changed: str) -> Installation:
    policy = folder / "policy.toml"
    policy.write_text("[groups.depth]\nleast = 0.6\nattack = 0.3\n")
    return await install(policy_file=str(policy), join__group_keys=GROUP_KEYS, **changed)


def selfies(*names: str) -> list[NewSubmission]:
    return [
        NewSubmission(image=plain_picture(), correlation_id=str(uuid.uuid4()), submission_id=f"{name}-{number}")
        for number, name in enumerate(names)
    ]


async def decided(installation: Installation, number: int) -> list[Record]:
    """The decisions, once there are so many."""

    async def there() -> bool:
        return len(await installation.records(Topic.DECISIONS)) >= number

    await eventually(there, f"{number} decisions", 120)
    return await installation.records(Topic.DECISIONS)


@pytest.mark.embedded
async def test_group_of_strangers(install: MakeInstallation, start_group: StartGroup, tmp_path: Path) -> None:
    """Readings of the group lower a verdict; what the group says nothing about is held, at the deadline."""
    installation = await with_group(install, tmp_path, join__groups_s="4")
    await installation.workers.start(SCRIPTED).ready()
    start_group(installation)
    await installation.publish(selfies("live", "attack", "silent"))
    await decided(installation, 3)
    found = {each["submission_id"]: each for each in await installation.events(Topic.DECISIONS)}
    assert {name: each["result"]["verdict"] for name, each in found.items()} == {
        "live-0": "LIVE",
        "attack-1": "SPOOF",
        "silent-2": "INCONCLUSIVE",
    }
    assert all(violations(each, DECISION_SCHEMA) == [] for each in found.values())
    assert found["attack-1"]["result"]["reasons"][0] == "group_depth_flat"
    assert found["silent-2"]["result"]["reasons"][0] == "group_missing"
    assert "rule on ids" in {model["name"] for model in found["live-0"]["models"]}


@pytest.mark.real
@pytest.mark.slow
async def test_workers_killed_beside_a_group(
    install: MakeInstallation, start_group: StartGroup, tmp_path: Path
) -> None:
    """With MACs on, by the group's own key: one decision each, and none is better than the group allows."""
    installation = await with_group(install, tmp_path, join__groups_s="60", records__keys=RECORD_KEYS)
    await installation.workers.run(2)
    start_group(installation)
    chance, given = random.Random(7), selfies(*["live", "attack"] * 30)
    for batch in range(0, 60, 15):
        await installation.publish(given[batch : batch + 15])
        await installation.workers.replace_one(chance, SCRIPTED)
    await decided(installation, 60)
    report = await installation.sound_report()
    assert (report.decided, report.dead_lettered) == (60, 0)
    for each in await installation.events(Topic.DECISIONS):
        live = each["submission_id"].startswith("live")
        assert each["result"]["verdict"] == ("LIVE" if live else "SPOOF")


@pytest.mark.real
@pytest.mark.slow
async def test_workers_killed_amid_frames(install: MakeInstallation) -> None:
    """Frames on several partitions, some twice, some submissions without their last: one decision each."""
    installation, chance = await install(join__frames_s="45"), random.Random(3)
    await installation.workers.run(2)
    outputs, expected = [], {}
    for number in range(40):
        named = ids(submission_id=f"frames-{number}", correlation_id=str(uuid.uuid4()))
        frames = [frame(index, ids=named) for index in range(COUNT - (number % 10 == 9))]
        expected[named.submission_id] = "INCONCLUSIVE" if len(frames) < COUNT else "LIVE"
        for each in chance.sample(frames, len(frames)) + chance.sample(frames, 2):
            output = detection_output(each, installation.topic(Topic.DETECTIONS), "/test")
            outputs.append(replace(output, key=chance.choice([b"a", b"b", b"c", b"d"])))
    killing = asyncio.create_task(kill_on(installation, chance))
    async with producer(installation.settings.kafka) as client:
        for output in chance.sample(outputs, len(outputs)):
            await send(client, output)
    await killing

    async def all_decided() -> bool:
        return {each["submission_id"] for each in await installation.events(Topic.DECISIONS)} == expected.keys()

    await eventually(all_decided, "every submission is decided", 120)
    await installation.drained()
    records = await installation.records(Topic.DECISIONS)
    distinct = {(each.key, each.value, each.headers) for each in records}
    found = {event(each)["submission_id"]: event(each)["result"]["verdict"] for each in records}  # type: ignore[arg-type]
    assert len(distinct) == len(expected)
    assert found == expected


async def kill_on(installation: Installation, chance: random.Random) -> None:
    for _ in range(3):
        await asyncio.sleep(chance.uniform(1, 3))
        await installation.workers.replace_one(chance, SCRIPTED)
