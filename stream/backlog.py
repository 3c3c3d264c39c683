"""What the workers have not read yet, and whether it is close to being lost.

Submissions are kept for a day because they are biometric; a backlog that old is deleted unread. Looked at
when a worker starts and by `liveness topics check`.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

from config.settings import Settings
from stream.clock import Clock
from stream.kafka_clients import admin, whole_topics_consumer
from stream.topics import TABLE, Topic, topic_name

#: Topics the workers' group reads.
READ_TOPICS = (Topic.SUBMISSIONS, Topic.DETECTIONS)
RETENTION_MS = {spec.topic: spec.retention_ms for spec in TABLE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """One topic's: `lag` records not committed yet; `at_risk` once the oldest is past half its retention."""

    topic: str
    lag: int
    at_risk: bool


async def look(settings: Settings, clock: Clock) -> list[Backlog]:
    """The backlog of each topic that the group reads; raises KafkaUnreachable or TopicMissing."""
    names = {topic: topic_name(topic, settings.kafka) for topic in READ_TOPICS}
    async with admin(settings.kafka) as client:
        offsets = await client.list_consumer_group_offsets(settings.group_id)
    committed = {tp: found.offset for tp, found in offsets.items() if found.offset >= 0}
    async with whole_topics_consumer(settings.kafka, *names.values()) as consumer:
        return [await _of(topic, name, committed, consumer, clock.now_ms()) for topic, name in names.items()]


async def _of(
    topic: Topic, name: str, committed: dict[TopicPartition, int], consumer: AIOKafkaConsumer, now_ms: int
) -> Backlog:
    partitions = [tp for tp in consumer.assignment() if tp.topic == name]
    ends = await consumer.end_offsets(partitions)
    begins = await consumer.beginning_offsets(partitions)
    unread = {tp: max(committed.get(tp, 0), begins[tp]) for tp in partitions}
    half_ago = now_ms - RETENTION_MS[topic] // 2
    younger = await consumer.offsets_for_times(dict.fromkeys(partitions, half_ago))
    return Backlog(
        topic=name,
        lag=sum(ends[tp] - unread[tp] for tp in partitions),
        at_risk=any(unread[tp] < (younger[tp].offset if younger[tp] else ends[tp]) for tp in partitions),
    )
