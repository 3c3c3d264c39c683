"""The table of topics: names, retention and sizes that clients and operators rely on."""

from __future__ import annotations

import pytest

from abuse.event_time import DAY_MS, HOUR_MS
from config.groups.services import KafkaSettings
from stream.events.topics import TABLE, Topic, max_request_bytes, topic_configs, topic_name

#: Topic -> days of retention; None: for ever.
NAMES = {
    "liveness.submissions": 1,
    "liveness.detections": 1,
    "liveness.decisions": 7,
    "liveness.abuse-flags": 30,
    "liveness.sessions": 7,
    "liveness.session-images": 7,
    "liveness.commands": 7,
    "liveness.audit": None,
    "liveness.dead-letter": 7,
}


def test_each_topic_is_listed_once():
    assert sorted(spec.topic for spec in TABLE) == sorted(Topic) == sorted(NAMES)


@pytest.mark.parametrize("spec", TABLE, ids=lambda spec: spec.topic)
def test_retention(spec):
    """Without a time of ours a segment may span seven days: a picture would be kept for eight."""
    configs, days = topic_configs(spec, KafkaSettings()), NAMES[spec.topic]
    if days is None:
        assert (configs["retention.ms"], configs.get("segment.ms"), spec.life_ms) == ("-1", None, None)
        return
    segment_ms = min(days, 24) * HOUR_MS
    assert (configs["retention.ms"], configs["segment.ms"]) == (str(days * DAY_MS), str(segment_ms))
    assert spec.life_ms == days * DAY_MS + segment_ms


@pytest.mark.parametrize("spec", TABLE, ids=lambda spec: spec.topic)
def test_broker_s_time_no_compression(spec):
    configs = topic_configs(spec, KafkaSettings())
    wanted = {"message.timestamp.type": "LogAppendTime", "cleanup.policy": "delete", "compression.type": "producer"}
    assert configs | wanted == configs


def test_large_records_need_pictures():
    kafka = KafkaSettings(max_event_bytes=20 * 1024 * 1024)
    sizes = {spec.topic: int(topic_configs(spec, kafka)["max.message.bytes"]) for spec in TABLE}
    large = {Topic.SUBMISSIONS, Topic.SESSION_IMAGES, Topic.DEAD_LETTER}
    assert {topic for topic, size in sizes.items() if size > 1024 * 1024} == large
    assert 20 * 1024 * 1024 == sizes[Topic.SUBMISSIONS] < sizes[Topic.DEAD_LETTER]
    assert max_request_bytes(kafka) >= max(sizes.values())
    assert KafkaSettings().max_event_bytes > 10 * 1024 * 1024 * 4 // 3 + 64 * 1024, "ten mebibytes in base64"


def test_names_stand_behind_the_prefix():
    assert topic_name(Topic.DECISIONS, KafkaSettings()) == "liveness.decisions"
    longest = KafkaSettings(topic_prefix="p" * 80)
    assert all(len(topic_name(topic, longest)) <= 249 for topic in Topic)
    assert topic_name(Topic.DECISIONS, KafkaSettings(topic_prefix="eu.")) == "eu.liveness.decisions"
