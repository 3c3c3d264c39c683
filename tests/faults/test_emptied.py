"""Redis loses its content while workers run: nothing is decided until what was published is back."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from stream.encryption.reviewer_keys import new_signing_key
from stream.events.message.messages import Detection, Record
from stream.events.topics import Topic
from stream.events.wire.detection_codec import detection_output
from stream.kafka.clients.clients import producer, send
from tests.e2e.abuse_cases import (
    HASH_KEYS,
    LIVE,
    REFUSED,
    SPOOF,
    decided,
    decisions_of,
    error_code,
    failures,
    picture,
    publish,
)
from tests.e2e.checker import group_lag
from tests.e2e.cli import liveness, quick_liveness
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.waiting import eventually
from tests.e2e.workers import SCRIPTED, Worker
from tests.unit.stream.builders import ids
from tests.unit.stream.pipeline.join_cases import COUNT, frame

pytestmark = [pytest.mark.local_services, pytest.mark.slow]

RECORD_KEYS = json.dumps([{"id": "r1", "secret": "another-secret-of-the-tests-and-of-nobody"}])
SAID_S = 15.0
#: Time in which a worker that decides at all decides many.
MOMENT_S = 2.0


async def test_redis_emptied(install_private: MakeInstallation) -> None:
    """Duplicates and an id under a pause, sent to two workers whose Redis is empty, and a third worker begins."""
    installation = await install_private()
    workers = await installation.workers.run(2)
    paused, honest = (str(uuid.uuid4()) for _ in range(2))
    known = [*failures(paused, 6), *(picture(honest, LIVE) for _ in range(4))]
    await decided(installation, known)
    late = picture(paused, LIVE)
    assert error_code((await decided(installation, [late]))[0]) in REFUSED
    await installation.drained()
    before = by_submission(await installation.records(Topic.DECISIONS))

    async with Redis.from_url(installation.settings.redis.url.get_secret_value()) as redis:
        await redis.flushall()
    again = [*known, late, *(picture(paused, LIVE) for _ in range(4))]
    await publish(installation, again)
    workers.append(installation.workers.start(SCRIPTED))
    await asyncio.gather(*(worker.said("redis_emptied", SAID_S) for worker in workers))
    for worker in workers:
        await eventually(lambda worker=worker: says_why(worker), "the health page names it")
    await asyncio.sleep(MOMENT_S)
    assert by_submission(await installation.records(Topic.DECISIONS)) == before, "nothing is decided"
    assert (await group_lag(installation.settings))[Topic.SUBMISSIONS] == len(again), "none is acknowledged"

    rebuilt = (await liveness(installation, "abuse", "rebuild", "--json")).document
    assert (rebuilt["decisions"], rebuilt["unreadable"]) == (len(before), 0)
    found = await decisions_of(installation, [new.submission_id for new in again])
    await installation.sound_report()
    after = by_submission(await installation.records(Topic.DECISIONS))
    assert {name: after[name] for name in before} == before, "the identical bytes"
    assert {error_code(each) for each in found[len(known) :]} <= REFUSED, "the pause is still in force"
    assert [worker.code for worker in workers] == [None] * 3
    for worker in workers[:2]:  # there are no partitions for a third
        await eventually(lambda worker=worker: worker.get("/ready")[0] == 200, "ready again")


async def test_redis_emptied_amid_frames(install_private: MakeInstallation) -> None:
    """Submissions of which some frames wait: the rest of one comes after the loss, the rest of the other never."""
    installation = await install_private(join__frames_s="20")
    worker = installation.workers.start(SCRIPTED)
    await worker.ready()
    names = {name: ids(submission_id=name, correlation_id=str(uuid.uuid4())) for name in ("whole", "cut")}
    given = {name: [frame(index, ids=named) for index in range(COUNT)] for name, named in names.items()}
    await publish_parts(installation, [*given["whole"][:-1], *given["cut"][:5]])
    await installation.drained()
    async with Redis.from_url(installation.settings.redis.url.get_secret_value()) as redis:
        await redis.flushall()
    await worker.said("redis_emptied", SAID_S)
    rebuilt = (await liveness(installation, "abuse", "rebuild", "--json")).document
    assert (rebuilt["parts"], rebuilt["unreadable"]) == (COUNT - 1 + 5, 0)
    await publish_parts(installation, given["whole"][-1:])
    found = await decisions_of(installation, list(names))
    assert [each["result"]["verdict"] for each in found] == ["LIVE", "INCONCLUSIVE"]
    assert found[1]["result"]["reasons"] == ["invalid_request", "frames_missing"]
    again = (await liveness(installation, "abuse", "rebuild", "--json")).document
    assert again["parts"] == 0
    await publish_parts(installation, given["whole"])
    await installation.drained()
    kept = by_submission(await installation.records(Topic.DECISIONS))
    assert {name: len(values) for name, values in kept.items()} == {"whole": 1, "cut": 1}


async def test_redis_emptied_amid_sessions(install_private: MakeInstallation, tmp_path: Path) -> None:
    """Four sessions: one of two attempts is spent, passed, cancelled, never used. Their tokens are good for what was
    left, and no more; a request for a session is answered as before."""
    folder = tmp_path / "session-keys"
    folder.mkdir()
    (folder / "2026-11.json").write_bytes(orjson.dumps(new_signing_key("2026-11").key.as_dict(private=True)))
    keys = {"records__keys": RECORD_KEYS, "records__required": "true", "abuse__hash_keys": HASH_KEYS}
    installation = await install_private(sessions__keys=str(folder), **keys)
    worker = installation.workers.start(SCRIPTED)
    await worker.ready()

    async def created(*options: str) -> dict[str, Any]:
        answer = await quick_liveness(installation, "sessions", "create", *options, "--json")
        return {**answer.document}

    async def reasons(session: dict[str, Any], liveness: float) -> list[str]:
        sent = picture(session["correlation_id"], liveness, session_token=session["token"])
        return list((await decided(installation, [sent]))[0]["result"]["reasons"])

    asked = ("--attempts", "2", "--request-token", "r-1", "--correlation-id", str(uuid.uuid4()))
    spent = await created(*asked)
    passed, cancelled, unused = [await created("--threshold", "0") for _ in range(3)]
    await reasons(spent, SPOOF)
    await reasons(passed, LIVE)
    await quick_liveness(installation, "sessions", "cancel", cancelled["session_id"])
    await installation.drained()
    async with Redis.from_url(installation.settings.redis.url.get_secret_value()) as redis:
        await redis.flushall()
    await worker.said("redis_emptied", SAID_S)

    rebuilt = (await quick_liveness(installation, "abuse", "rebuild", "--json")).document
    told = ("sessions", "unreadable", "unauthenticated")
    assert [rebuilt[name] for name in told] == [4, 0, 0]
    assert await created(*asked) == spent
    assert "session_ended" in await reasons(passed, LIVE)
    assert "session_cancelled" in await reasons(cancelled, LIVE)
    assert "session_attempts_spent" not in await reasons(spent, SPOOF)
    assert "session_attempts_spent" in await reasons(spent, LIVE)
    assert await reasons(unused, LIVE) == []
    shown = [
        (await quick_liveness(installation, "sessions", "show", each["session_id"], "--json")).document
        for each in (spent, passed, cancelled, unused)
    ]
    assert [each["state"] for each in shown] == ["failed", "succeeded", "cancelled", "succeeded"]
    assert [each["attempts"]["used"] for each in shown] == [2, 1, 0, 1]
    assert (await quick_liveness(installation, "abuse", "rebuild", "--json")).document["sessions"] == 0


async def publish_parts(installation: Installation, frames: Sequence[Detection]) -> None:
    async with producer(installation.settings.kafka) as client:
        for each in frames:
            await send(client, detection_output(each, installation.topic(Topic.DETECTIONS), "/test"))


def says_why(worker: Worker) -> bool:
    (live, _), (ready, page) = worker.get("/live"), worker.get("/ready")
    troubles = orjson.loads(page)["troubles"]
    return (live, ready) == (200, 503) and any("abuse rebuild" in trouble for trouble in troubles)


def by_submission(records: list[Record]) -> dict[str, set[bytes]]:
    """Every distinct decision, by submission id."""
    found: dict[str, set[bytes]] = {}
    for record in records:
        value = record.value or b""
        found.setdefault(orjson.loads(value)["submission_id"], set()).add(value)
    return found
