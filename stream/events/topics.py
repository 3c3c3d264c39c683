"""Every topic, in one frozen table: what it carries, how long, how many partitions, how large.

Names are fixed behind the installation's prefix. The key is the correlation id everywhere, so that all
events of one person meet in one partition, in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from abuse.event_time import DAY_MS
from config.groups.services import KafkaSettings

#: Kafka drops records by the segment, once the last of it is past its retention; the first has outstayed it by what the
#: segment spans. This share of the retention is little, and a partition has two dozen segments.
SEGMENTS, LONGEST_SEGMENT_MS = 24, DAY_MS
#: Room for the headers that say why a record was set aside.
DEAD_LETTER_HEADROOM = 64 * 1024


class Topic(StrEnum):
    SUBMISSIONS = "liveness.submissions"
    DETECTIONS = "liveness.detections"
    DECISIONS = "liveness.decisions"
    ABUSE_FLAGS = "liveness.abuse-flags"
    SESSIONS = "liveness.sessions"
    SESSION_IMAGES = "liveness.session-images"
    COMMANDS = "liveness.commands"
    AUDIT = "liveness.audit"
    DEAD_LETTER = "liveness.dead-letter"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSpec:
    """Topic as it should be. `retention_ms` is how long records stay; -1 keeps them. `carries_images` sizes the topic
    for pictures. `biometric`: no broker may keep the records longer (`stream.kafka.clients.provisioning`)."""

    topic: Topic
    retention_ms: int
    carries_images: bool = False
    biometric: bool = False
    cleanup: str = "delete"

    @property
    def segment_ms(self) -> int | None:
        """Longest span of a segment; None: the broker's own, where records stay for ever."""
        return None if self.retention_ms < 0 else min(self.retention_ms // SEGMENTS, LONGEST_SEGMENT_MS)

    @property
    def life_ms(self) -> int | None:
        """Longest life of a record, also in a topic that is slowly fed; None: for ever."""
        return None if self.segment_ms is None else self.retention_ms + self.segment_ms


TABLE: tuple[TopicSpec, ...] = (
    # Biometric data: no longer than a day, long enough to survive an outage.
    TopicSpec(topic=Topic.SUBMISSIONS, retention_ms=DAY_MS, carries_images=True, biometric=True),
    TopicSpec(topic=Topic.DETECTIONS, retention_ms=DAY_MS, biometric=True),
    TopicSpec(topic=Topic.DECISIONS, retention_ms=7 * DAY_MS),
    TopicSpec(topic=Topic.ABUSE_FLAGS, retention_ms=30 * DAY_MS),
    TopicSpec(topic=Topic.SESSIONS, retention_ms=7 * DAY_MS),
    # As long as the decisions that name them; only the tenant can open them.
    TopicSpec(topic=Topic.SESSION_IMAGES, retention_ms=7 * DAY_MS, carries_images=True, biometric=True),
    TopicSpec(topic=Topic.COMMANDS, retention_ms=7 * DAY_MS),
    TopicSpec(topic=Topic.AUDIT, retention_ms=-1),
    TopicSpec(topic=Topic.DEAD_LETTER, retention_ms=7 * DAY_MS, carries_images=True, biometric=True),
)

SMALL_EVENT_BYTES = 1024 * 1024


def topic_name(topic: Topic, kafka: KafkaSettings) -> str:
    return f"{kafka.topic_prefix}{topic}"


def topic_configs(spec: TopicSpec, kafka: KafkaSettings) -> dict[str, str]:
    """Broker-side settings of one topic, as Kafka names them."""
    size = SMALL_EVENT_BYTES
    if spec.carries_images:
        size = kafka.max_event_bytes + (DEAD_LETTER_HEADROOM if spec.topic is Topic.DEAD_LETTER else 0)
    segment = {} if spec.segment_ms is None else {"segment.ms": str(spec.segment_ms)}
    return {
        "cleanup.policy": spec.cleanup,
        "retention.ms": str(spec.retention_ms),
        **segment,
        "max.message.bytes": str(size),
        "message.timestamp.type": "LogAppendTime",
        # Pictures are compressed already; compressing them again only burns the broker's processor.
        "compression.type": "producer",
    }


def max_request_bytes(kafka: KafkaSettings) -> int:
    """Size of the largest record that a producer or fetch here must carry."""
    return kafka.max_event_bytes + DEAD_LETTER_HEADROOM
