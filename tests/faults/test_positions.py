"""Logs that don't hold what a group expects: lost ends, deleted beginnings, aborted transactions, topics made anew."""

from __future__ import annotations

import asyncio
import time
import uuid

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewPartitions, NewTopic, RecordsToDelete

from stream.events.message.messages import Output
from stream.events.topics import Topic
from stream.events.wire.submissions import NewSubmission, submission_output
from stream.kafka.clients.clients import admin, producer
from tests.e2e.abuse_cases import command
from tests.e2e.cli import liveness
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.pictures import plain_picture, submission
from tests.e2e.waiting import eventually
from tests.e2e.workers import SCRIPTED, Worker

pytestmark = [pytest.mark.real, pytest.mark.slow]

#: A topic's change is noticed after at most so long (`LIVENESS_KAFKA__METADATA_MAX_AGE_S`, a rebalance, a fetch).
NOTICED_S = 30.0


def some(number: int) -> list[NewSubmission]:
    return [submission(plain_picture()) for _ in range(number)]


async def commit(installation: Installation, topic: Topic, offset: int) -> None:
    """Commit for the workers' group, which has no member now."""
    tp = TopicPartition(installation.topic(topic), 0)
    settings = installation.settings
    servers, group = settings.kafka.bootstrap_servers, settings.group_id
    async with AIOKafkaConsumer(bootstrap_servers=servers, group_id=group, enable_auto_commit=False) as client:
        client.assign([tp])
        await client.commit({tp: offset})


async def decided(installation: Installation, new: list[NewSubmission], within_s: float = 60) -> None:
    wanted = {each.submission_id for each in new}

    async def all_there() -> bool:
        return wanted <= {event["submission_id"] for event in await installation.events(Topic.DECISIONS)}

    await eventually(all_there, f"{len(wanted)} are decided", within_s)


async def nothing_left(worker: Worker) -> None:
    def read() -> bool:
        return bool(orjson.loads(worker.get("/live")[1])["lag"] == 0)

    await eventually(read, "the worker has nothing left to read")


@pytest.mark.parametrize("topic", [Topic.SUBMISSIONS, Topic.DETECTIONS])
async def test_committed_beyond_end(install: MakeInstallation, topic: Topic) -> None:
    """As after a power loss, or with the offsets of another cluster: said, counted, and read from the first record."""
    installation = await install(partitions=1)
    before, after = some(3), some(2)
    await installation.publish(before)
    await commit(installation, topic, 45)
    checked = await liveness(installation, "topics", "check", "--json", expect=1)
    assert {each["topic"]: each["beyond_end"] for each in checked.document["backlog"]}[installation.topic(topic)] == 1
    worker = await installation.workers.start(SCRIPTED).ready()
    await worker.said("offset_beyond_end", topic=installation.topic(topic))
    await installation.publish(after)
    await decided(installation, [*before, *after])
    await nothing_left(worker)
    assert "liveness_offset_beyond_end_total{" in worker.get("/metrics")[1]
    await installation.sound_report()


async def test_deleted_unread(install: MakeInstallation) -> None:
    """Retention was quicker than the workers: nothing brings the records back, and somebody is told how many."""
    installation = await install(partitions=1)
    worker = await installation.workers.start(SCRIPTED).ready()
    await installation.publish(some(1))
    await installation.drained()
    await installation.workers.stop()
    lost, left = some(3), some(1)
    await installation.publish([*lost, *left])
    await delete_before(installation, 4)
    checked = await liveness(installation, "topics", "check", "--json", expect=1)
    assert checked.document["backlog"][0]["deleted"] == len(lost)
    worker = await installation.workers.start(SCRIPTED).ready()
    assert (await worker.said("records_deleted_unread"))["records"] == len(lost)
    await decided(installation, left)
    assert 'liveness_deleted_unread_total{topic="' in worker.get("/metrics")[1]


async def delete_before(installation: Installation, offset: int) -> None:
    tp = TopicPartition(installation.topic(Topic.SUBMISSIONS), 0)
    async with admin(installation.settings.kafka) as client:
        await client.delete_records({tp: RecordsToDelete(offset)})


async def test_aborted_transactions(install: MakeInstallation) -> None:
    """Neither a submission nor a command of an aborted transaction is carried out, and none is work left over."""
    installation = await install(partitions=1)
    aborted, sound = some(2), some(1)
    key = str(uuid.uuid4()).encode()
    ordered = orjson.dumps(command("correlation.reset", correlation_id=str(uuid.uuid4())))
    client = AIOKafkaProducer(
        bootstrap_servers=installation.settings.kafka.bootstrap_servers,
        transactional_id=installation.topic(Topic.SUBMISSIONS),
    )
    await client.start()
    try:
        await client.begin_transaction()
        for new in aborted:
            await put(client, submission_output(new, installation.topic(Topic.SUBMISSIONS)))
        await put(client, Output(topic=installation.topic(Topic.COMMANDS), key=key, value=ordered, headers=()))
        await client.abort_transaction()
    finally:
        await client.stop()
    await asyncio.sleep(1)  # until the broker has written the markers, which are offsets too
    await installation.publish(sound)
    worker = await installation.workers.start(SCRIPTED).ready()
    await decided(installation, sound)
    await nothing_left(worker)
    assert await installation.decisions() == len(sound)
    assert await installation.records(Topic.AUDIT) == []
    await installation.drained()
    checked = await liveness(installation, "topics", "check", "--json")
    assert {each["lag"] for each in checked.document["backlog"]} == {0}


async def put(client: AIOKafkaProducer, output: Output) -> None:
    await client.send_and_wait(output.topic, key=output.key, value=output.value, headers=list(output.headers))


async def test_topic_made_anew(install: MakeInstallation) -> None:
    installation = await install(partitions=1)
    worker = await installation.workers.start(SCRIPTED).ready()
    await installation.publish(some(2))
    await installation.drained()
    name = installation.topic(Topic.SUBMISSIONS)
    async with admin(installation.settings.kafka) as client:
        await client.delete_topics([name])

        def not_ready() -> bool:
            status, body = worker.get("/ready")
            return status == 503 and name in body

        await eventually(not_ready, "/ready names the missing topic", NOTICED_S)
        await client.create_topics([NewTopic(name=name, num_partitions=1, replication_factor=1)])
    new, began = some(2), time.monotonic()
    await asyncio.sleep(1)  # until every node knows it
    await installation.publish(new)
    await decided(installation, new, NOTICED_S)
    assert time.monotonic() - began < NOTICED_S
    await worker.ready()
    assert worker.code is None


async def test_partitions_added(install: MakeInstallation) -> None:
    installation = await install(partitions=1)
    worker = await installation.workers.start(SCRIPTED).ready()
    name = installation.topic(Topic.SUBMISSIONS)
    async with admin(installation.settings.kafka) as client:
        await client.create_partitions({name: NewPartitions(3)})
    (new,) = some(1)
    output = submission_output(new, name)
    async with producer(installation.settings.kafka) as client:
        await client.send_and_wait(name, key=output.key, value=output.value, headers=list(output.headers), partition=2)
    await decided(installation, [new], NOTICED_S)
    assert worker.code is None
    assert [line for line in worker.output.splitlines() if '"error"' in line and "level" in line] == []
