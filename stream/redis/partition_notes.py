"""Notes of partitions on Redis: one hash, a field a partition.

in-work    {TOPIC}|{PARTITION} -> where its owner began to read, what is in work alone, which ends were unclean
"""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import orjson

from abuse.event_time import DAY_MS
from abuse.redis_port import RedisClient, reading
from abuse.store_record import Personal, StoreRecord
from stream.kafka.acks import Partition
from stream.kafka.caution import PartitionNote

LIFE_MS = DAY_MS
IN_WORK = StoreRecord(
    name="in-work",
    holds="offsets being worked on, to find a record on which workers end",
    personal=Personal.NONE,
    life_ms=LIFE_MS,
    after="a partition last changed hands",
)
RECORDS = (IN_WORK,)


class RedisPartitionNotes:
    """Adapter of the port `PartitionNotes`, which says what each method promises."""

    def __init__(self, calls: RedisClient, key_prefix: str) -> None:
        self._calls = calls
        self._key = f"{key_prefix}{IN_WORK.name}"

    async def find(self, partition: Partition) -> PartitionNote | None:
        (held,) = await self._calls.execute([("HGET", self._key, _field(partition))])
        if held is None:
            return None
        with reading(self._key):
            found = orjson.loads(cast(bytes, held))
            return PartitionNote(
                first=int(found["first"]),
                unmoved=int(found["unmoved"]),
                alone=None if found["alone"] is None else int(found["alone"]),
                deaths={int(offset): int(seen) for offset, seen in found["deaths"].items()},
            )

    async def put(self, partition: Partition, note: PartitionNote) -> None:
        deaths = {str(offset): seen for offset, seen in note.deaths.items()}
        value = orjson.dumps({"first": note.first, "unmoved": note.unmoved, "alone": note.alone, "deaths": deaths})
        await self._calls.execute([("HSET", self._key, _field(partition), value), ("PEXPIRE", self._key, LIFE_MS)])

    async def remove(self, partitions: Collection[Partition]) -> None:
        await self._calls.execute([("HDEL", self._key, *map(_field, partitions))])


def _field(partition: Partition) -> str:
    return "|".join(map(str, partition))
