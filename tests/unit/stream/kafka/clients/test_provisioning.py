"""Making, checking and mending topics: what is objected to, what is mended, and what stays the operator's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.admin.config_resource import ConfigResource

from abuse.event_time import DAY_MS, HOUR_MS
from config.groups.services import KafkaSettings
from stream.events.topics import TABLE, Topic, TopicSpec, topic_configs
from stream.kafka.clients import provisioning

KAFKA = KafkaSettings()
BIOMETRIC = [spec for spec in TABLE if spec.biometric]
OTHERS = [spec for spec in TABLE if not spec.biometric]
#: What a broker applies where a topic has no setting of its own.
DEFAULTS = {"cleanup.policy": "delete", "compression.type": "producer", "message.timestamp.type": "CreateTime"}
DEFAULTS |= {"retention.ms": str(7 * DAY_MS), "segment.ms": str(7 * DAY_MS), "max.message.bytes": "1048588"}
OWN, DEFAULT = 1, 5
UNKNOWN = 3


class Broker:
    """Answers as the admin client does. `topics`: each one's own settings; `altered`: which were, in order."""

    def __init__(self) -> None:
        self.topics: dict[str, dict[str, str]] = {}
        self.altered: list[str] = []

    async def list_topics(self) -> list[str]:
        return list(self.topics)

    async def describe_topics(self, names: Sequence[str]) -> list[dict[str, Any]]:
        return [{"topic": name, "partitions": [0]} for name in names]

    async def describe_configs(self, asked: Sequence[ConfigResource]) -> list[Any]:
        resources = []
        for each in asked:
            if (own := self.topics.get(each.name)) is None:
                resources.append((UNKNOWN, "", 2, each.name, []))
                continue
            entries = [(name, value, False, OWN) for name, value in own.items()]
            entries += [(name, value, False, DEFAULT) for name, value in DEFAULTS.items() if name not in own]
            resources.append((0, "", 2, each.name, entries))
        return [SimpleNamespace(resources=resources)]

    async def create_topics(self, wanted: Sequence[Any]) -> Any:
        self.topics |= {topic.name: dict(topic.topic_configs) for topic in wanted}
        return SimpleNamespace(topic_errors=[(topic.name, 0, "") for topic in wanted])

    async def alter_configs(self, asked: Sequence[ConfigResource]) -> list[Any]:
        for each in asked:
            self.topics[each.name] = dict(each.configs)
            self.altered.append(each.name)
        return [SimpleNamespace(resources=[(0, "", 2, each.name) for each in asked])]


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    made = Broker()

    @asynccontextmanager
    async def admin(_: KafkaSettings) -> AsyncIterator[Broker]:
        yield made

    monkeypatch.setattr(provisioning, "admin", admin)
    return made


@pytest.fixture
async def made(broker: Broker) -> Broker:
    await provisioning.create(KAFKA)
    return broker


async def problems() -> dict[str, dict[str, str]]:
    return {state.name: dict(state.problems) for state in await provisioning.check(KAFKA) if state.problems}


async def test_topics_as_the_table_says(broker):
    assert set(await problems()) == {spec.topic for spec in TABLE}
    states = await provisioning.create(KAFKA)
    assert all(state.created and not state.mended and not state.problems for state in states)
    assert broker.topics == {spec.topic: topic_configs(spec, KAFKA) for spec in TABLE}
    assert not any(state.created or state.mended for state in await provisioning.create(KAFKA))
    assert broker.altered == []


@pytest.mark.parametrize("spec", BIOMETRIC, ids=lambda spec: spec.topic)
@pytest.mark.parametrize("setting", ["retention.ms", "segment.ms"])
@pytest.mark.parametrize("for_ever", [False, True])
async def test_biometric_data_kept_no_longer(made, spec: TopicSpec, setting: str, for_ever: bool):
    wanted = made.topics[spec.topic][setting]
    made.topics[spec.topic][setting] = "-1" if for_ever else str(int(wanted) + 1)
    assert list((await problems())[spec.topic]) == [setting]
    await provisioning.create(KAFKA)
    assert made.topics[spec.topic][setting] == wanted
    assert made.altered == [spec.topic]
    assert await problems() == {}


SHORTER = {"retention.ms": str(HOUR_MS), "segment.ms": "60000"}
LONGER = {"retention.ms": str(90 * DAY_MS), "segment.ms": str(14 * DAY_MS)}
CHOSEN = [*((spec, SHORTER) for spec in BIOMETRIC), *((spec, LONGER) for spec in OTHERS)]


@pytest.mark.parametrize(("spec", "chosen"), CHOSEN, ids=lambda each: getattr(each, "topic", ""))
async def test_operator_s_times_stay(made, spec: TopicSpec, chosen: dict[str, str]):
    """Biometric records may be kept shorter than ours, others longer."""
    made.topics[spec.topic] |= chosen
    await provisioning.create(KAFKA)
    assert await problems() == {}
    assert chosen.items() <= made.topics[spec.topic].items()


async def test_old_segments_are_mended(made):
    """Biometric topics made before segments had a time are reported; the others are mended silently."""
    for own in made.topics.values():
        own.pop("segment.ms", None)
        own["min.insync.replicas"] = "2"
    found = await provisioning.check(KAFKA)
    assert {state.name for state in found if state.problems} == {spec.topic for spec in BIOMETRIC}
    (submissions,) = (state for state in found if state.name == Topic.SUBMISSIONS)
    assert submissions.in_words == "segment.ms is 604800000, at most 3600000: biometric data would be kept too long"
    states = {state.name: state for state in await provisioning.create(KAFKA)}
    assert {name for name, state in states.items() if state.mended} == set(Topic) - {Topic.AUDIT}
    expected = {spec.topic: {**topic_configs(spec, KAFKA), "min.insync.replicas": "2"} for spec in TABLE}
    assert made.topics == expected


@pytest.mark.parametrize("cleanup", ["compact", "compact,delete"])
async def test_loss_is_mended_everywhere(made, cleanup):
    wrong = {"cleanup.policy": cleanup, "max.message.bytes": "10", "message.timestamp.type": "CreateTime"}
    made.topics[Topic.AUDIT] = wrong
    assert (await problems())[Topic.AUDIT].keys() == wrong.keys()
    await provisioning.create(KAFKA)
    (audit,) = (spec for spec in TABLE if spec.topic is Topic.AUDIT)
    assert made.topics[Topic.AUDIT] == topic_configs(audit, KAFKA)
