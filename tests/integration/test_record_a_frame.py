"""Submissions of a session that are sent as a record a frame, from the bytes to the decision, with workers killed."""

from __future__ import annotations

import json
import random
import uuid
from pathlib import Path

import pytest

from stream.encryption.reviewer_keys import new_signing_key
from stream.events.submissions import NewSubmission
from stream.events.topics import Topic
from stream.review.command_client import ask
from tests.e2e.analysers import marked
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.pictures import plain_picture
from tests.e2e.waiting import eventually
from tests.e2e.workers import SCRIPTED

COUNT, SUBMISSIONS = 8, 6


async def token(installation: Installation, correlation_id: str) -> str:
    """Token of a new session."""
    command = {
        "command": "session.create",
        "command_id": str(uuid.uuid4()),
        "actor": "app",
        "reason": "onboarding",
        "correlation_id": correlation_id,
        "client_request_token": correlation_id,
    }
    answer = await ask(installation.settings, command, correlation_id, 60)
    assert answer["error"] is None, answer

    async def told() -> str:
        events = await installation.events(Topic.SESSIONS)
        mine = [each for each in events if each.get("correlation_id") == correlation_id]
        return next((each["token"] for each in mine if each.get("token")), "")

    return str(await eventually(told, "the session's token is on its topic"))


def frames(person: str, session_token: str, *, missing: int = 0) -> list[NewSubmission]:
    return [
        NewSubmission(
            image=marked(plain_picture(), "liveness", f"0.{90 + index}"),
            submission_id=f"frames-of-{person}",
            correlation_id=person,
            optional={"session_token": session_token, "frame_index": str(index), "frame_count": str(COUNT)},
        )
        for index in range(COUNT - missing)
    ]


@pytest.mark.real
@pytest.mark.slow
async def test_workers_killed_amid_records_of_frames(install: MakeInstallation, tmp_path: Path) -> None:
    """Decisions are one for each submission; the checker finds nothing lost."""
    keys = tmp_path / "session-keys"
    keys.mkdir()
    (keys / "k1.json").write_text(json.dumps(new_signing_key("k1").key.as_dict(private=True)))
    installation, chance = await install(sessions__keys=str(keys), join__frames_s="60"), random.Random(5)
    await installation.workers.run(2)
    people = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(SUBMISSIONS)]
    sent = [
        each
        for number, person in enumerate(people)
        for each in frames(person, await token(installation, person), missing=number == 0)
    ]
    chance.shuffle(sent)
    for batch in range(0, len(sent), 12):
        await installation.publish(sent[batch : batch + 12])
        await installation.workers.replace_one(chance, SCRIPTED)

    async def all_decided() -> bool:
        return len({each["submission_id"] for each in await installation.events(Topic.DECISIONS)}) == SUBMISSIONS

    await eventually(all_decided, "every submission is decided", 150)
    report = await installation.sound_report()
    assert (report.submissions, report.decided, report.dead_lettered) == (SUBMISSIONS, SUBMISSIONS, 0)
    events = {each["correlation_id"]: each for each in await installation.events(Topic.DECISIONS)}
    for number, person in enumerate(people):
        reasons, verdict = events[person]["result"]["reasons"], events[person]["result"]["verdict"]
        assert (verdict, "frames_missing" in reasons) == (("INCONCLUSIVE", True) if number == 0 else ("LIVE", False))
