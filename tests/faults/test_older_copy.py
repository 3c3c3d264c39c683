"""An older copy of Redis' data, put back while no worker runs: nothing is decided until what was published is back."""

from __future__ import annotations

import asyncio
import time
import uuid

import orjson
import pytest
from aiokafka.admin import NewTopic
from redis.asyncio import Redis

from abuse.event_time import HOUR_MS
from stream.events.topics import Topic
from stream.kafka.clients.clients import admin, producer
from stream.kafka.clients.newest import MOST, appended_since
from stream.redis.marker import Marker, Origin, look_key, marker_keys
from tests.e2e.abuse_cases import LIVE, REFUSED, decided, decisions_of, error_code, failures, picture, publish
from tests.e2e.cli import liveness
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.waiting import eventually
from tests.e2e.workers import SCRIPTED
from tests.faults.test_emptied import MOMENT_S, by_submission, says_why

pytestmark = [pytest.mark.real, pytest.mark.slow]

SAID_S = 30.0
Backup = dict[bytes, bytes]


async def backup(installation: Installation) -> Backup:
    prefix, url = installation.settings.redis_prefix, installation.settings.redis.url.get_secret_value()
    async with Redis.from_url(url) as redis:
        return {name: await redis.dump(name) async for name in redis.scan_iter(f"{prefix}*")}


async def put_back(installation: Installation, held: Backup) -> None:
    """Put the backup in place of all that Redis holds, as one of an hour ago: a test can't wait that long."""
    prefix, url = installation.settings.redis_prefix, installation.settings.redis.url.get_secret_value()
    (key,) = marker_keys(prefix, cluster=False)
    async with Redis.from_url(url) as redis:
        await redis.delete(*[name async for name in redis.scan_iter(f"{prefix}*")])
        for name, value in held.items():
            await redis.restore(name, 0, value)
        look_ms = int(await redis.zincrby(look_key(key), -HOUR_MS, "last"))
        await redis.set(key, str(Marker.made(Origin.NEW, look_ms)))


async def test_older_copy_before_the_start(install: MakeInstallation) -> None:
    installation = await install(partitions=1)
    paused, honest = (str(uuid.uuid4()) for _ in range(2))
    await installation.workers.run(1)
    await decided(installation, [picture(honest, LIVE)])
    held = await backup(installation)
    known, late = [*failures(paused, 6), picture(honest, LIVE)], picture(paused, LIVE)
    await decided(installation, known)
    assert error_code((await decided(installation, [late]))[0]) in REFUSED
    await installation.drained()
    await installation.workers.stop()
    before = by_submission(await installation.records(Topic.DECISIONS))

    await put_back(installation, held)
    again = [*known, late, picture(paused, LIVE)]
    await publish(installation, again)
    worker = installation.workers.start(SCRIPTED)
    await worker.said("redis_emptied", SAID_S)
    await eventually(lambda: says_why(worker), "the health page names it")
    await asyncio.sleep(MOMENT_S)
    assert by_submission(await installation.records(Topic.DECISIONS)) == before, "nothing is decided"

    rebuilt = (await liveness(installation, "abuse", "rebuild", "--json")).document
    assert (rebuilt["decisions"], rebuilt["unreadable"]) == (len(before), 0)
    found = await decisions_of(installation, [again[-1].submission_id])
    await installation.sound_report()
    after = by_submission(await installation.records(Topic.DECISIONS))
    assert {name: after[name] for name in before} == before, "the identical bytes"
    assert {error_code(each) for each in found} <= REFUSED, "the pause is still in force"
    assert worker.code is None


async def test_newest_records(install: MakeInstallation) -> None:
    """The last of each partition, by the record's time, which on this topic is the sender's; and of a topic without
    records, and of none."""
    installation = await install()
    kafka, name = installation.settings.kafka, f"{installation.topic(Topic.DECISIONS)}.by-senders"
    now_ms = int(time.time() * 1000)
    since_ms = now_ms - HOUR_MS
    async with admin(kafka) as client:
        senders = {"message.timestamp.type": "CreateTime"}
        await client.create_topics([NewTopic(name, num_partitions=2, replication_factor=1, topic_configs=senders)])
    times = [now_ms, 0, since_ms, since_ms + 1, *[now_ms] * MOST]
    async with producer(kafka) as client:
        for number, at_ms in enumerate(times):
            await client.send_and_wait(name, value=orjson.dumps(number), partition=1, timestamp_ms=at_ms)
        await client.send_and_wait(name, value=b"early", partition=0, timestamp_ms=since_ms - 1)
    found = [orjson.loads(each.value or b"") for each in await appended_since(kafka, name, since_ms)]
    assert found == list(range(4, len(times)))
    assert len(await appended_since(kafka, name, since_ms - 1)) == MOST
    last = {orjson.dumps(number) for number in range(4, len(times))}
    before = await appended_since(kafka, name, since_ms, lambda record: record.value not in last)
    assert {b"0", b"3"} <= {each.value for each in before}, "looked for behind records that are not believed"
    assert await appended_since(kafka, installation.topic(Topic.AUDIT), since_ms) == []
    assert await appended_since(kafka, f"{name}.missing", since_ms) == []
