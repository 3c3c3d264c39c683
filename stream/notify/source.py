"""Where flags come from: a member of the notifier's own consumer group, seen as records and positions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from config.errors import Unavailable
from stream.events.messages import Record
from stream.kafka.acks import Partition
from stream.kafka.records import record_of


class GroupSource:
    """Reads and commits through a started consumer (`kafka_clients.group_consumer`)."""

    def __init__(self, consumer: Any, answer_timeout_s: float) -> None:
        self._consumer = consumer
        self._answer_timeout_s = answer_timeout_s
        self._next: dict[TopicPartition, int] = {}

    @property
    def assigned(self) -> int:
        return len(self._consumer.assignment())

    @property
    def lag(self) -> int:
        """Records not read yet, in partitions that something was read from."""
        return sum(
            max((self._consumer.highwater(tp) or 0) - self._next[tp], 0)
            for tp in self._consumer.assignment()
            if tp in self._next
        )

    async def read(self, most: int, wait_s: float) -> list[Record]:
        """What there is, in order within a partition; nothing after `wait_s`. Raises Unavailable."""
        try:
            # Without partitions the client would wait for some as long as it takes. It only ever waits before it
            # takes records, so that giving up loses none.
            async with asyncio.timeout(2 * wait_s):
                batches = await self._consumer.getmany(timeout_ms=round(wait_s * 1000), max_records=most)
        except TimeoutError:
            return []
        except KafkaError as error:
            raise Unavailable("kafka", type(error).__name__) from error
        for tp, messages in batches.items():
            self._next[tp] = messages[-1].offset + 1
        return [record_of(m, timestamp_ms=m.timestamp) for messages in batches.values() for m in messages]

    async def commit(self, positions: Mapping[Partition, int]) -> None:
        """Raises Unavailable. Positions in partitions that were taken away in the meantime are dropped.

        The next owner reads those records again and posts them again, under the same ids.
        """
        offsets = {TopicPartition(*partition): position for partition, position in positions.items()}
        try:
            async with asyncio.timeout(self._answer_timeout_s):
                await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError):
            return
        except (KafkaError, TimeoutError) as error:
            raise Unavailable("kafka", type(error).__name__) from error

    async def look(self) -> None:
        """Ask the broker anything. Raises Unavailable when it doesn't answer."""
        try:
            async with asyncio.timeout(self._answer_timeout_s):
                await self._consumer.topics()
        except (KafkaError, TimeoutError) as error:
            raise Unavailable("kafka", type(error).__name__) from error

    def forget(self) -> None:
        """The assignment ended."""
        self._next.clear()
