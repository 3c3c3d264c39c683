"""Notes of partitions on Redis: one hash, a field a partition.

partition-notes    {TOPIC}|{PARTITION} -> where its owner began to read, what may be in work, which ends were unclean
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import cast

import orjson

from abuse.event_time import DAY_MS
from abuse.redis_port import RedisClient, reading
from abuse.store_record import Personal, StoreRecord
from stream.kafka.agents.caution import PartitionNote
from stream.kafka.consumer.acks import Partition

LIFE_MS = DAY_MS
NOTES = StoreRecord(
    name="partition-notes",
    holds="offsets being worked on, to find a record on which workers end",
    personal=Personal.NONE,
    life_ms=LIFE_MS,
    after="a worker last read a partition",
)
RECORDS = (NOTES,)


class RedisPartitionNotes:
    """Adapter of the port `PartitionNotes`, which says what each method promises."""

    def __init__(self, calls: RedisClient, key_prefix: str) -> None:
        self._calls = calls
        self._key = f"{key_prefix}{NOTES.name}"

    async def find(self, partition: Partition) -> PartitionNote | None:
        (held,) = await self._calls.execute([("HGET", self._key, _field(partition))])
        if held is None:
            return None
        with reading(self._key):
            found = orjson.loads(cast(bytes, held))
            return PartitionNote(
                first=int(found["first"]),
                covers=int(found["covers"]),
                suspects=int(found["suspects"]),
                alone=None if found["alone"] is None else int(found["alone"]),
                deaths={int(offset): int(seen) for offset, seen in found["deaths"].items()},
                handed_over=bool(found["handed_over"]),
            )

    async def put(self, notes: Mapping[Partition, PartitionNote]) -> None:
        fields = [part for partition, note in notes.items() for part in (_field(partition), _written(note))]
        await self._calls.execute([("HSET", self._key, *fields), ("PEXPIRE", self._key, LIFE_MS)])

    async def remove(self, partitions: Collection[Partition]) -> None:
        await self._calls.execute([("HDEL", self._key, *map(_field, partitions))])


def _field(partition: Partition) -> str:
    return "|".join(map(str, partition))


def _written(note: PartitionNote) -> bytes:
    return orjson.dumps(asdict(note), option=orjson.OPT_NON_STR_KEYS)
