"""The newest records: forged ones at the end of a partition hide no older ones, to a bound, and the bound is said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from structlog.testing import capture_logs

from config.groups.services import KafkaSettings
from stream.events.message.messages import Record
from stream.kafka.clients import newest
from stream.kafka.clients.newest import FURTHEST, MOST, appended_since

SINCE_MS = 5
GENUINE, FORGED = b"genuine", b"forged"


class Client:
    """Client with whole partitions in memory: their records' values."""

    def __init__(self, *partitions: list[bytes]) -> None:
        self.partitions = {TopicPartition("t", number): values for number, values in enumerate(partitions)}
        self.position: dict[Any, int] = dict.fromkeys(self.partitions, 0)
        self.read = 0

    def assignment(self) -> set[Any]:
        return set(self.partitions)

    async def offsets_for_times(self, asked: dict[Any, int]) -> dict[Any, Any]:
        return {each: SimpleNamespace(offset=0) if self.partitions[each] else None for each in asked}

    async def end_offsets(self, asked: set[Any]) -> dict[Any, int]:
        return {each: len(self.partitions[each]) for each in asked}

    def seek(self, partition: Any, offset: int) -> None:
        self.position[partition] = offset

    async def until_end(self) -> AsyncIterator[Record]:
        for each, values in self.partitions.items():
            for offset in range(self.position[each], len(values)):
                self.read += 1
                place = {"topic": "t", "partition": each.partition, "offset": offset, "appended_at_ms": SINCE_MS + 1}
                yield Record(**place, key=None, value=values[offset], headers=())
            self.position[each] = len(values)


#: Records of a partition -> how many are told, how many are read, and the partitions that are said to hide some.
CASES: dict[str, tuple[list[bytes], int, int, list[int]]] = {
    "none": ([], 0, 0, []),
    "none forged": ([GENUINE] * 50, MOST, MOST, []),
    "forged ones last": ([GENUINE] * 50 + [FORGED] * MOST, MOST, 70 + MOST, []),
    "all forged": ([FORGED] * 50, 0, 50 + MOST, []),
    "some behind the bound": ([GENUINE] * 50 + [FORGED] * (FURTHEST - 1), 1, FURTHEST + MOST, [0]),
    "a flood": ([GENUINE] * 50 + [FORGED] * 3000, 0, FURTHEST + MOST, [0]),
}


@pytest.mark.parametrize(("values", "told", "read", "cut"), CASES.values(), ids=CASES)
async def test_forged_at_the_end(
    monkeypatch: pytest.MonkeyPatch, values: list[bytes], told: int, read: int, cut: list[int]
) -> None:
    client = Client(values, [GENUINE])

    @asynccontextmanager
    async def consumer(*_: object) -> AsyncIterator[Client]:
        yield client

    monkeypatch.setattr(newest, "whole_topics_consumer", consumer)
    monkeypatch.setattr(newest, "TopicReader", lambda given: given)
    with capture_logs() as logged:
        found = await appended_since(KafkaSettings(), "t", SINCE_MS, lambda record: record.value == GENUINE)
    assert [record.value for record in found] == [GENUINE] * (told + 1)
    assert len({(record.partition, record.offset) for record in found}) == told + 1
    assert client.read == read + 1
    assert [(said["event"], said["partitions"]) for said in logged] == [("newest_records_hidden", cut)] * len(cut)
