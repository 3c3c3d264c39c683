"""Batches that a broker stores and a client may stumble over are decided like any other and stop no partition."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.producer import message_accumulator
from aiokafka.producer import producer as producer_module
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from stream.events.topics import Topic
from stream.events.wire.submissions import submission_output
from stream.kafka.clients.clients import producer
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.pictures import plain_picture, submission
from tests.e2e.waiting import eventually
from tests.unreadable import Unreadable

pytestmark = [pytest.mark.real, pytest.mark.slow]


async def test_unreadable_header_name(install: MakeInstallation, monkeypatch: pytest.MonkeyPatch) -> None:
    installation = await install(partitions=1)
    # The client's fast record builder would refuse to send such a name; its slow one asks the text to encode itself.
    for module in (message_accumulator, producer_module):
        monkeypatch.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
    async with producer(installation.settings.kafka) as client:
        for odd in (False, True, False):
            output = submission_output(submission(plain_picture()), installation.topic(Topic.SUBMISSIONS))
            headers = [*output.headers, *([(Unreadable(b"\xff\xfe"), b"x")] if odd else [])]
            await client.send_and_wait(output.topic, key=output.key, value=output.value, headers=headers)
    monkeypatch.undo()
    assert len(await installation.records(Topic.SUBMISSIONS)) == 3, "commands read whole topics, too"
    await installation.workers.start().ready()
    await installation.drained()
    decisions = await installation.records(Topic.DECISIONS)
    assert len(decisions) == 3


async def test_packed_and_transactional_batches(install: MakeInstallation) -> None:
    """Every codec; and the marker that ends a transaction, an offset no reader ever sees, is no work left over."""
    installation = await install(partitions=1)
    ways: list[dict[str, Any]] = [{"compression_type": codec} for codec in ("gzip", "snappy", "lz4", "zstd")]
    for way in (*ways, {"transactional_id": f"{installation.topic(Topic.SUBMISSIONS)}-publisher"}):
        await _publish(installation, **way)
    worker = await installation.workers.start().ready()

    async def all_decided() -> bool:
        return await installation.decisions() == len(ways) + 1

    await eventually(all_decided, "all are decided")

    def nothing_left() -> bool:
        state = orjson.loads(worker.get("/live")[1])
        return bool(state["lag"] == 0 and state["in_flight"] == 0)

    await eventually(nothing_left, "the worker knows that nothing is left to read")


async def _publish(installation: Installation, **way: Any) -> None:
    output = submission_output(submission(plain_picture()), installation.topic(Topic.SUBMISSIONS))
    client = AIOKafkaProducer(bootstrap_servers=installation.settings.kafka.bootstrap_servers, **way)
    await client.start()
    try:
        if "transactional_id" in way:
            await client.begin_transaction()
        await client.send_and_wait(output.topic, key=output.key, value=output.value, headers=list(output.headers))
        if "transactional_id" in way:
            await client.commit_transaction()
    finally:
        await client.stop()
