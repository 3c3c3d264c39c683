"""The backlog: records that no worker has read yet, and whether they are close to being lost.

Submissions are kept for a day because they are biometric; older ones are deleted unread. Looked at
when a worker starts and by `liveness topics check`.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError

from config.settings import Settings
from stream.events.topics import TABLE, Topic, topic_name
from stream.kafka.clients.clients import KafkaUnreachable, admin, whole_topics_consumer
from stream.runtime.clock import Clock

#: Topics the workers' group reads.
READ_TOPICS = (Topic.SUBMISSIONS, Topic.DETECTIONS)
COORDINATOR_TIMEOUT_S = 15.0
RETENTION_MS = {spec.topic: spec.retention_ms for spec in TABLE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Backlog of one topic: `lag` records not committed yet; `at_risk` once the oldest is past half its retention.
    `deleted`: records that retention deleted unread; `beyond_end`: partitions committed beyond their end, which workers
    read again from the start."""

    topic: str
    lag: int
    at_risk: bool
    deleted: int = 0
    beyond_end: int = 0

    @property
    def problem(self) -> str | None:
        """Fault of the topic in words, the gravest one; None for a sound topic."""
        if self.beyond_end:
            return f"committed beyond the end in {self.beyond_end} partition(s): read again from the start"
        if self.deleted:
            return f"{self.deleted} record(s) were deleted unread"
        if self.at_risk:
            return "the oldest unread record is past half its retention, start more workers: liveness worker"
        return None


async def look(settings: Settings, clock: Clock) -> list[Backlog]:
    """Backlog of each topic that the group reads; raises KafkaUnreachable or TopicMissing."""
    names = {topic: topic_name(topic, settings.kafka) for topic in READ_TOPICS}
    committed = await _committed(settings)
    async with whole_topics_consumer(settings.kafka, *names.values()) as consumer:
        return [await _of(topic, name, committed, consumer, clock.now_ms()) for topic, name in names.items()]


async def _committed(settings: Settings) -> dict[TopicPartition, int]:
    """Offsets that the group has committed. A broker without any group makes the topic for them when first asked."""
    deadline = time.monotonic() + COORDINATOR_TIMEOUT_S
    async with admin(settings.kafka) as client:
        while True:
            try:
                offsets = await client.list_consumer_group_offsets(settings.group_id)
                return {tp: found.offset for tp, found in offsets.items() if found.offset >= 0}
            except (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError) as error:
                if time.monotonic() > deadline:
                    raise KafkaUnreachable(f"no coordinator for the consumer group ({type(error).__name__})") from error
            await asyncio.sleep(0.2)


async def _of(
    topic: Topic, name: str, committed: dict[TopicPartition, int], consumer: AIOKafkaConsumer, now_ms: int
) -> Backlog:
    partitions = [tp for tp in consumer.assignment() if tp.topic == name]
    ends = await consumer.end_offsets(partitions)
    begins = await consumer.beginning_offsets(partitions)
    beyond = [tp for tp in partitions if committed.get(tp, 0) > ends[tp]]
    unread = {tp: begins[tp] if tp in beyond else max(committed.get(tp, 0), begins[tp]) for tp in partitions}
    half_ago = now_ms - RETENTION_MS[topic] // 2
    younger = await consumer.offsets_for_times(dict.fromkeys(partitions, half_ago))
    return Backlog(
        topic=name,
        lag=sum(ends[tp] - unread[tp] for tp in partitions),
        deleted=sum(max(begins[tp] - committed[tp], 0) for tp in partitions if tp in committed),
        beyond_end=len(beyond),
        at_risk=any(unread[tp] < (younger[tp].offset if younger[tp] else ends[tp]) for tp in partitions),
    )
