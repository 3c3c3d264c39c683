"""The table of topics: names, retention and sizes that clients and operators rely on."""

from __future__ import annotations

import pytest

from abuse.event_time import DAY_MS, HOUR_MS
from config.settings import KafkaSettings
from stream.events.topics import TABLE, Topic, max_request_bytes, topic_configs, topic_name

NAMES = {
    "liveness.submissions": 1,
    "liveness.detections": 1,
    "liveness.decisions": 7,
    "liveness.abuse-flags": 30,
    "liveness.sessions": 7,
    "liveness.commands": 7,
    "liveness.dead-letter": 7,
}


def test_each_topic_is_listed_once():
    assert sorted(spec.topic for spec in TABLE) == sorted(Topic)
    assert {str(topic) for topic in Topic} == {*NAMES, "liveness.audit"}


@pytest.mark.parametrize(("name", "days"), NAMES.items())
def test_retention(name, days):
    (spec,) = (spec for spec in TABLE if spec.topic == name)
    assert topic_configs(spec, KafkaSettings())["retention.ms"] == str(days * DAY_MS)


@pytest.mark.parametrize(("name", "days"), NAMES.items())
def test_slow_topics_outstay_little(name, days):
    """Without a time of ours a segment may span seven days: a picture would be kept for eight."""
    (spec,) = (spec for spec in TABLE if spec.topic == name)
    segment_ms = int(topic_configs(spec, KafkaSettings())["segment.ms"])
    assert segment_ms == min(days, 24) * HOUR_MS
    assert spec.life_ms == days * DAY_MS + segment_ms


def test_the_audit_trail_stays():
    (spec,) = (spec for spec in TABLE if spec.topic is Topic.AUDIT)
    configs = topic_configs(spec, KafkaSettings())
    assert configs["retention.ms"] == "-1"
    assert "segment.ms" not in configs
    assert spec.life_ms is None


@pytest.mark.parametrize("spec", TABLE, ids=lambda spec: spec.topic)
def test_broker_s_time_no_compression(spec):
    configs = topic_configs(spec, KafkaSettings())
    assert configs["message.timestamp.type"] == "LogAppendTime"
    assert configs["cleanup.policy"] == "delete"
    assert configs["compression.type"] == "producer"


def test_large_records_need_pictures():
    kafka = KafkaSettings(max_event_bytes=20 * 1024 * 1024)
    sizes = {spec.topic: int(topic_configs(spec, kafka)["max.message.bytes"]) for spec in TABLE}
    large = {Topic.SUBMISSIONS, Topic.DEAD_LETTER}
    assert {topic for topic, size in sizes.items() if size > 1024 * 1024} == large
    assert sizes[Topic.SUBMISSIONS] == 20 * 1024 * 1024
    assert sizes[Topic.DEAD_LETTER] > sizes[Topic.SUBMISSIONS]
    assert max_request_bytes(kafka) >= max(sizes.values())


def test_ten_mebibytes_fit_in_base64():
    base64_bytes = 10 * 1024 * 1024 * 4 // 3
    assert KafkaSettings().max_event_bytes > base64_bytes + 64 * 1024


def test_names_stand_behind_the_prefix():
    assert topic_name(Topic.DECISIONS, KafkaSettings()) == "liveness.decisions"
    longest = KafkaSettings(topic_prefix="p" * 80)
    assert all(len(topic_name(topic, longest)) <= 249 for topic in Topic)
    assert topic_name(Topic.DECISIONS, KafkaSettings(topic_prefix="eu.")) == "eu.liveness.decisions"
