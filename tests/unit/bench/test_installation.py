"""Installation of a benchmark on configured services: beside the workers' topics and keys, and gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import pytest
import redis

from config import settings as configuration
from config.groups.services import KafkaSettings
from config.settings import Settings
from stream.bench import installation as place
from stream.bench.installation import Broker, installation
from stream.events.topics import Topic, topic_name
from stream.kafka.clients import provisioning

#: Key prefix of the user's workers.
IN_USE = "mine:"


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    there: list[str] = []

    async def create(kafka: KafkaSettings) -> None:
        there.append(topic_name(Topic.SUBMISSIONS, kafka))

    async def delete(settings: Settings) -> None:
        there.remove(topic_name(Topic.SUBMISSIONS, settings.kafka))

    monkeypatch.setattr(provisioning, "create", create)
    monkeypatch.setattr(place, "_delete", delete)
    return there


@pytest.fixture
def server(empty_redis: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    monkeypatch.setenv("LIVENESS_REDIS__URL", empty_redis)
    monkeypatch.setenv("LIVENESS_REDIS__KEY_PREFIX", IN_USE)
    monkeypatch.setenv("LIVENESS_KAFKA__TOPIC_PREFIX", IN_USE.replace(":", "."))
    with redis.Redis.from_url(empty_redis) as client:
        client.set(f"{IN_USE}decision", b"1")
        yield client


def test_it_stands_beside_what_workers_keep(topics, server):
    with installation(Broker.CONFIGURED, 3, lambda _: None) as made:
        assert not made.settings.redis_prefix.startswith(IN_USE), "it would work on their keys, and remove them"
        assert topics == [topic_name(Topic.SUBMISSIONS, made.settings.kafka)] != [f"mine.{Topic.SUBMISSIONS}"]
        assert made.environment["LIVENESS_REDIS__KEY_PREFIX"] == made.settings.redis_prefix
        assert made.settings.detection.slots == 3
    assert configuration.load().redis_prefix == IN_USE


@pytest.mark.parametrize("broken", [None, RuntimeError, KeyboardInterrupt])
def test_nothing_of_it_stays(topics, server, broken):
    def benchmark() -> None:
        with installation(Broker.CONFIGURED, None, lambda _: None) as made:
            for family in ("decision:1", "abuse:journal:{1}", "abuse:faces:{1}"):
                server.set(f"{made.settings.redis_prefix}{family}", b"1")
            if broken is not None:
                raise broken

    with nullcontext() if broken is None else pytest.raises(broken):
        benchmark()
    assert server.keys() == [f"{IN_USE}decision".encode()]
    assert topics == []
