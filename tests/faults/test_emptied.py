"""Redis loses its content while workers run: nothing is decided until what was published is back."""

from __future__ import annotations

import asyncio
import uuid

import orjson
import pytest
from redis.asyncio import Redis

from stream.events.messages import Record
from stream.events.topics import Topic
from tests.e2e.abuse_cases import LIVE, REFUSED, decided, decisions_of, error_code, failures, picture, publish
from tests.e2e.checker import group_lag
from tests.e2e.cli import liveness
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.waiting import eventually
from tests.e2e.workers import SCRIPTED, Worker

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
