"""Batches of very many records: read in parts, at the cost of what is read."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.structs import TopicPartition

from stream.kafka.clients import record_reading
from stream.kafka.clients.record_reading import AT_A_TIME, MANY_RECORDS, PartFetch, TolerantRecords
from stream.kafka.clients.unpacking import MAX_UNPACKED_BYTES

MB = 1024 * 1024
TP = TopicPartition("submissions", 0)
PRODUCER = {"is_transactional": 0, "producer_id": -1, "producer_epoch": -1, "base_sequence": -1}


def batch(records: int, headers: int, compression: int) -> bytes:
    builder = _DefaultRecordBatchBuilderPy(magic=2, compression_type=compression, batch_size=64 * MB, **PRODUCER)
    for offset in range(records):
        builder.append(offset, timestamp=1000, key=None, value=None, headers=[("", None)] * headers)
    return bytes(builder.build())


class Partition:
    """Partition of a consumer, with the result of one fetch."""

    def __init__(self, fetched: bytes) -> None:
        self.position, self.paused = 0, False
        assignment = SimpleNamespace(active=True, state_value=lambda _: self)
        records: Any = fetcher.PartitionRecords(TP, TolerantRecords(fetched), [], 0, None, None, True, 1)
        self.result = PartFetch(TP, assignment=assignment, partition_records=records, backoff=0)

    def consumed_to(self, offset: int) -> None:
        self.position = offset


@pytest.mark.parametrize("compression", [0, 4], ids=["plain", "zstd"])
def test_parts_of_a_batch(compression: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part takes the memory of its records, besides the unpacked batch. Nothing of a plain batch behind the part is
    looked at."""
    partition = Partition(batch(MANY_RECORDS + 1, 50, compression))
    if compression == 0:
        monkeypatch.setattr(record_reading, "_header_count", lambda *_: pytest.fail("all headers are counted first"))
    tracemalloc.start()
    first = partition.result.getall()
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [record.offset for record in first] == list(range(AT_A_TIME))
    assert taken < 8 * MB + (MAX_UNPACKED_BYTES if compression else 0)
    assert [record.offset for record in partition.result.getall(1000)] == list(range(AT_A_TIME, 2 * AT_A_TIME))
    assert [record.offset for record in partition.result.getall(2)] == [2 * AT_A_TIME, 2 * AT_A_TIME + 1]


def test_all_parts_are_the_batch() -> None:
    partition, offsets = Partition(batch(3 * AT_A_TIME + 5, 0, 0)), list[int]()
    while partition.result.has_more():
        offsets += [record.offset for record in partition.result.getall()]
    assert offsets == list(range(3 * AT_A_TIME + 5))
    assert partition.position == len(offsets)
