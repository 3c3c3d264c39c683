"""Sessions of an active check with workers killed: attempts sent as a record a frame, and as one event."""

from __future__ import annotations

import base64
import json
import random
import uuid
from pathlib import Path

import orjson
import pytest

from stream.encryption.reviewer_keys import new_signing_key
from stream.events.topics import Topic
from stream.events.wire.submissions import Form, NewSubmission
from stream.review.command_client import ask
from tests.e2e.analysers import marked
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.pictures import plain_picture
from tests.e2e.waiting import eventually
from tests.e2e.workers import SCRIPTED

COUNT, SESSIONS, BATCH = 8, 8, 8


async def token(installation: Installation, correlation_id: str) -> str:
    """Token of a new session."""
    command = {
        "command": "session.create",
        "command_id": str(uuid.uuid4()),
        "actor": "app",
        "reason": "onboarding",
        "correlation_id": correlation_id,
        "client_request_token": correlation_id,
        "liveness_mode": "active",
        "attempts": 2,
    }
    answer = await ask(installation.settings, command, correlation_id, 60)
    assert answer["error"] is None, answer

    async def told() -> str:
        events = await installation.events(Topic.SESSIONS)
        mine = [each for each in events if each.get("correlation_id") == correlation_id]
        return next((each["token"] for each in mine if each.get("token")), "")

    return str(await eventually(told, "the session's token is on its topic"))


def frame_records(person: str, session_token: str, *, missing: int = 0) -> list[NewSubmission]:
    """First attempt of a session: a record a frame."""
    return [
        NewSubmission(
            image=marked(plain_picture(), "liveness", f"0.{90 + index}"),
            submission_id=f"records-of-{person}",
            correlation_id=person,
            optional={"session_token": session_token, "frame_index": str(index), "frame_count": str(COUNT)},
        )
        for index in range(COUNT - missing)
    ]


def one_event(person: str, session_token: str, attempt: str = "event") -> NewSubmission:
    """Attempt of a session with its frames in one event."""
    images = (marked(plain_picture(), attempt, index) for index in range(COUNT))
    return NewSubmission(
        image=b"",
        submission_id=f"{attempt}-of-{person}",
        correlation_id=person,
        optional={"session_token": session_token},
        frames=tuple({"image": base64.b64encode(image).decode(), "challenge": "smile"} for image in images),
    )


@pytest.mark.real
@pytest.mark.slow
async def test_storm_of_sessions(install: MakeInstallation, tmp_path: Path) -> None:
    """Workers killed amid two attempts of each session: no submission is lost, no set is decided twice, and no attempt
    is counted twice, so that each session fails with its two attempts and takes no third."""
    keys = tmp_path / "session-keys"
    keys.mkdir()
    (keys / "k1.json").write_text(json.dumps(new_signing_key("k1").key.as_dict(private=True)))
    secret = json.dumps([{"id": "h1", "secret": "thirty-two characters and some more"}])
    installation = await install(sessions__keys=str(keys), join__frames_s="60", abuse__hash_keys=secret)
    chance = random.Random(5)
    await installation.workers.run(2)
    people = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(SESSIONS)]
    tokens = {person: await token(installation, person) for person in people}
    records = [
        each
        for number, person in enumerate(people)
        for each in frame_records(person, tokens[person], missing=number == 0)
    ]
    events = [one_event(person, tokens[person]) for person in people]
    chance.shuffle(records)
    for batch in range(0, len(records), BATCH):
        await installation.publish(records[batch : batch + BATCH])
        await installation.publish(events[batch // BATCH :: -(-len(records) // BATCH)], Form.BARE)
        await installation.workers.replace_one(chance, SCRIPTED)

    async def all_decided() -> bool:
        return len({each["submission_id"] for each in await installation.events(Topic.DECISIONS)}) == 2 * SESSIONS

    await eventually(all_decided, "every submission is decided", 150)
    await installation.publish([one_event(person, tokens[person], "third") for person in people], Form.BARE)
    report = await installation.sound_report()
    assert (report.submissions, report.decided, report.dead_lettered) == (3 * SESSIONS, 3 * SESSIONS, 0)
    decided = {each["submission_id"]: each for each in await installation.events(Topic.DECISIONS)}
    # Scripted frames carry no measures: an active check without any fails.
    assert {decided[f"event-of-{person}"]["result"]["verdict"] for person in people} == {"SPOOF"}
    assert "frames_missing" in decided[f"records-of-{people[0]}"]["result"]["reasons"]
    assert {decided[f"records-of-{person}"]["result"]["verdict"] for person in people[1:]} == {"SPOOF"}
    assert {decided[f"third-of-{person}"]["result"]["reasons"][1] for person in people} == {"session_attempts_spent"}
    ends = [each for each in await installation.events(Topic.SESSIONS) if each["state"] == "failed"]
    assert {each["correlation_id"]: each["attempts"] for each in ends} == {
        person: {"allowed": 2, "used": 2} for person in people
    }
    told = {orjson.dumps(each) for each in await installation.events(Topic.SESSIONS)}
    assert len(told) == 3 * SESSIONS, "created, running and failed, each in one wording however often"
