"""A whole topic is read in bounded steps: what is packed small must not fill the memory when it is unpacked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.record.memory_records import MemoryRecords

from config.groups.services import KafkaSettings
from stream.kafka.clients.clients import READ_AT_ONCE, TopicReader, _consumer
from stream.kafka.clients.record_reading import PartFetch, TolerantRecords

P0, P1 = TopicPartition("t", 0), TopicPartition("t", 1)
ENDS = {P0: 3 * READ_AT_ONCE + 1, P1: 2}


class Client:
    """Consumer of two partitions, which hands over as many records as it is asked for."""

    def __init__(self) -> None:
        self.at = dict.fromkeys(ENDS, 0)
        self.most: list[int] = []

    def assignment(self) -> set[TopicPartition]:
        return set(ENDS)

    async def end_offsets(self, _partitions: set[TopicPartition]) -> dict[TopicPartition, int]:
        return ENDS

    async def offsets_for_times(self, asked: dict[TopicPartition, int]) -> dict[TopicPartition, Any]:
        """Offsets are the times; the first partition alone has later ones."""
        return {each: SimpleNamespace(offset=at) if at < ENDS[each] else None for each, at in asked.items()}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.at[partition] = offset

    async def position(self, partition: TopicPartition) -> int:
        return self.at[partition]

    async def getmany(
        self, *, timeout_ms: int, max_records: int | None = None
    ) -> dict[TopicPartition, list[SimpleNamespace]]:
        left, answer = max_records or 10**9, {}
        for partition, end in ENDS.items():
            taken = min(end - self.at[partition], left)
            answer[partition] = [message(partition, self.at[partition] + each) for each in range(taken)]
            self.at[partition] += taken
            left -= taken
        self.most.append(sum(map(len, answer.values())))
        return answer


def message(partition: TopicPartition, offset: int) -> SimpleNamespace:
    at = {"topic": partition.topic, "partition": partition.partition, "offset": offset}
    return SimpleNamespace(key=None, value=b"x", headers=(), timestamp=0, timestamp_type=1, **at)


async def test_read_to_the_end_in_steps():
    client = Client()
    read = [record async for record in TopicReader(client).until_end()]
    assert len(read) == sum(ENDS.values())
    assert max(client.most) == READ_AT_ONCE


async def test_read_from_a_moment_on():
    """A partition without a record since is read no more."""
    read = [record async for record in TopicReader(Client()).until_end(since_ms=5)]
    assert {record.partition for record in read} == {0}
    assert [record.offset for record in read] == list(range(5, ENDS[P0]))


async def test_broker_that_knows_no_times():
    """The embedded one finds no record by its time, so that every record is read."""
    reading = TopicReader(Client(), knows_times=False).until_end(since_ms=5)
    assert len([record async for record in reading]) == sum(ENDS.values())


async def test_commands_read_past_any_batch(monkeypatch):
    """A record with a header name that is no text would end a rebuild, each time again."""
    monkeypatch.setattr(fetcher, "MemoryRecords", MemoryRecords)
    monkeypatch.setattr(fetcher, "FetchResult", FetchResult)
    _consumer(KafkaSettings(), "t")
    assert (fetcher.MemoryRecords, fetcher.FetchResult) == (TolerantRecords, PartFetch)
