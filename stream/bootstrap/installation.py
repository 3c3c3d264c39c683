"""The watch over an installation's Redis, put together: what it asks Redis without the guard, and what the topics."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TypeVar

from abuse.event_time import MS
from abuse.review.redis_audit import RedisCommandLog
from abuse.store_time import RedisTime
from config.settings import Settings
from stream.bootstrap.authentication import open_macs
from stream.events.message.messages import Record
from stream.events.topics import Topic, topic_name
from stream.kafka.clients.clients import KafkaUnreachable, has_records
from stream.kafka.clients.newest import appended_since
from stream.maintenance.older_copy import TopicComparison
from stream.redis.client import connect
from stream.redis.decision_store import RedisDecisionStore
from stream.redis.installation import InstallationWatch
from stream.redis.marker import MarkerGuard
from stream.runtime.patience import DependencyTimeout

T = TypeVar("T")


def open_installation_watch(settings: Settings, guard: MarkerGuard) -> InstallationWatch:
    """Watch of a worker; nothing is sent before the first look."""
    unguarded = connect(settings.redis, max_connections=1)
    time = RedisTime(unguarded)

    async def is_new() -> bool:
        topics = (topic_name(topic, settings.kafka) for topic in (Topic.DECISIONS, Topic.AUDIT))
        return not any([await _answered(has_records(settings.kafka, topic)) for topic in topics])

    macs = open_macs(settings)

    async def since(topic: Topic, since_ms: int) -> Sequence[Record]:
        if settings.kafka.embedded:  # which ends with its topics, and is not asked by time
            return ()
        name = topic_name(topic, settings.kafka)
        return await _answered(
            appended_since(settings.kafka, name, since_ms, lambda record: macs.fault(record) is None)
        )

    comparison = TopicComparison(
        appended_since=since,
        decisions=RedisDecisionStore(unguarded, settings.redis_prefix, settings.redis.decision_ttl_s, time),
        commands=RedisCommandLog(unguarded, settings.redis_prefix),
        time=time,
        decisions_kept_ms=settings.redis.decision_ttl_s * MS,
    )
    accept_loss = settings.redis.accept_loss
    return InstallationWatch(guard, unguarded, time, is_new, comparison.is_older, accept_loss=accept_loss)


async def _answered(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except KafkaUnreachable as error:  # as when the join meets no broker
        raise DependencyTimeout("kafka did not answer while the worker started") from error
