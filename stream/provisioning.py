"""Topics as they should be, and as they are: `create` makes what is missing, `check` says what differs.

The worker never creates a topic; it checks them at start-up and names the command that mends them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from config.settings import KafkaSettings
from stream.kafka_clients import admin
from stream.topics import TABLE, TopicSpec, topic_configs, topic_name

MENDING_COMMAND = "liveness topics create"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicState:
    """One topic: `problems` is empty when it serves; `partitions` is 0 when it isn't there."""

    name: str
    partitions: int
    created: bool = False
    problems: tuple[str, ...] = ()


class ProvisioningError(Exception):
    """The broker refused to make a topic; the message names it and the broker's reason."""


async def create(kafka: KafkaSettings) -> list[TopicState]:
    """Make every topic of the table that is missing; existing ones are left alone. Safe to repeat."""
    async with admin(kafka) as client:
        existing = set(await client.list_topics())
        missing = [spec for spec in TABLE if topic_name(spec.topic, kafka) not in existing]
        if missing:
            await _create(client, missing, kafka)
        made = {topic_name(spec.topic, kafka) for spec in missing}
        states = await _states(client, kafka)
        return [
            TopicState(name=s.name, partitions=s.partitions, created=s.name in made, problems=s.problems)
            for s in states
        ]


async def check(kafka: KafkaSettings) -> list[TopicState]:
    """Every topic of the table as the broker has it."""
    async with admin(kafka) as client:
        return await _states(client, kafka)


async def _create(client: AIOKafkaAdminClient, specs: list[TopicSpec], kafka: KafkaSettings) -> None:
    wanted = [
        NewTopic(
            name=topic_name(spec.topic, kafka),
            num_partitions=kafka.partitions,
            replication_factor=kafka.replication_factor,
            # The client wants to see this for -1, the broker's own default.
            replica_assignments={} if kafka.replication_factor == -1 else None,
            topic_configs=topic_configs(spec, kafka),
        )
        for spec in specs
    ]
    response = await client.create_topics(wanted)
    for name, code, *rest in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise ProvisioningError(f"{name}: {rest[0] if rest and rest[0] else error.__name__}")


async def _states(client: AIOKafkaAdminClient, kafka: KafkaSettings) -> list[TopicState]:
    existing = set(await client.list_topics())
    names = [topic_name(spec.topic, kafka) for spec in TABLE]
    there = [name for name in names if name in existing]
    partitions = (
        {t["topic"]: len(t["partitions"]) for t in await client.describe_topics(there)} if there else {}
    )
    configs = await _configs(client, there)
    return [
        TopicState(
            name=name,
            partitions=partitions.get(name, 0),
            problems=_problems(spec, kafka, configs[name]) if name in configs else ("missing",),
        )
        for spec, name in zip(TABLE, names, strict=True)
    ]


async def _configs(client: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, dict[str, str]] = {}
    for response in await client.describe_configs(asked):
        for _code, _message, _kind, name, entries in response.resources:
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found


def _problems(spec: TopicSpec, kafka: KafkaSettings, actual: Mapping[str, str]) -> tuple[str, ...]:
    """Only what would lose or refuse records; longer retention or more room is the operator's business."""
    wanted = topic_configs(spec, kafka)
    problems = []
    if int(actual.get("max.message.bytes", "0")) < int(wanted["max.message.bytes"]):
        problems.append(
            f"max.message.bytes is {actual.get('max.message.bytes')}, needs {wanted['max.message.bytes']}"
        )
    if spec.cleanup not in actual.get("cleanup.policy", ""):
        problems.append(f"cleanup.policy is {actual.get('cleanup.policy')}, needs {spec.cleanup}")
    if actual.get("message.timestamp.type") != wanted["message.timestamp.type"]:
        problems.append("message.timestamp.type is not LogAppendTime: event time would be the sender's")
    return tuple(problems)
