"""Redis loses its content while workers run: nothing is decided until what was published is back."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

import orjson
import pytest
from redis.asyncio import Redis

from stream.events.detection_codec import detection_output
from stream.events.messages import Detection, Record
from stream.events.topics import Topic
from stream.kafka.clients.clients import producer, send
from tests.e2e.abuse_cases import LIVE, REFUSED, decided, decisions_of, error_code, failures, picture, publish
from tests.e2e.checker import group_lag
from tests.e2e.cli import liveness
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.waiting import eventually
from tests.e2e.workers import SCRIPTED, Worker
from tests.unit.stream.builders import ids
from tests.unit.stream.pipeline.join_cases import COUNT, frame

pytestmark = [pytest.mark.local_services, pytest.mark.slow]

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
