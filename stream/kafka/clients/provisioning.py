"""Topics as they should be, and as they are: `create` makes and mends them, `check` says what differs.

The worker never creates a topic; it checks them at start-up and names the command that mends them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, TopicAuthorizationFailedError, for_code

from config.groups.services import KafkaSettings
from stream.events.topics import TABLE, TopicSpec, topic_configs, topic_name
from stream.kafka.clients.clients import admin
from stream.kafka.clients.security import KafkaRefuses

MENDING_COMMAND = "liveness topics create"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicState:
    """Topic as it is: `problems` (setting -> what is wrong) is empty when the topic serves; 0 `partitions`: missing."""

    name: str
    partitions: int
    created: bool = False
    mended: bool = False
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def refused(self) -> bool:
        """Whether this user may not see the topic or its settings."""
        return self.problems == REFUSED

    @property
    def in_words(self) -> str:
        return "; ".join(f"{what} {wrong}" for what, wrong in self.problems.items())


class ProvisioningError(Exception):
    """Refusal of the broker to make or mend a topic; the message names the topic and the broker's reason."""


async def create(kafka: KafkaSettings) -> list[TopicState]:
    """Make every missing topic and mend the others. May be repeated.

    Mended are the settings that `check` objects to; a lifetime that nobody chose becomes that of a new topic. Raises
    KafkaUnreachable, KafkaRefuses, ProvisioningError.
    """
    async with admin(kafka) as client:
        before = await _states(client, kafka)
        if hidden := [state.name for state in before if state.refused]:
            raise KafkaRefuses(f"kafka: {', '.join(hidden)}: access {REFUSED['access']}")
        missing = {state.name for state in before if not state.partitions}
        if missing:
            await _create(client, [spec for spec in TABLE if topic_name(spec.topic, kafka) in missing], kafka)
        mended = await _mend(client, [state for state in before if state.partitions], kafka)
        return [
            replace(state, created=state.name in missing, mended=state.name in mended)
            for state in await _states(client, kafka)
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


async def _mend(client: AIOKafkaAdminClient, there: list[TopicState], kafka: KafkaSettings) -> set[str]:
    """The names of those that needed it."""
    specs = {topic_name(spec.topic, kafka): spec for spec in TABLE}
    own, _ = await _configs(client, [state.name for state in there], own_only=True)
    wanted = {}
    for state in there:
        ours = topic_configs(specs[state.name], kafka)
        mended = {**ours, **own[state.name], **{setting: ours[setting] for setting in state.problems}}
        if mended != own[state.name]:
            wanted[state.name] = mended
    await _alter(client, wanted)
    return set(wanted)


async def _alter(client: AIOKafkaAdminClient, wanted: Mapping[str, Mapping[str, str]]) -> None:
    """Kafka replaces all of a topic's own settings at once: `wanted` has those that were in order too."""
    asked = [ConfigResource(ConfigResourceType.TOPIC, name, dict(configs)) for name, configs in wanted.items()]
    for response in await client.alter_configs(asked) if asked else ():
        for code, message, _kind, name in response.resources:
            if code:
                raise ProvisioningError(f"{name}: {message or for_code(code).__name__}")


async def _states(client: AIOKafkaAdminClient, kafka: KafkaSettings) -> list[TopicState]:
    existing = set(await client.list_topics())
    names = [topic_name(spec.topic, kafka) for spec in TABLE]
    there = [name for name in names if name in existing]
    partitions = {t["topic"]: len(t["partitions"]) for t in await client.describe_topics(there)} if there else {}
    configs, refused = await _configs(client, names)
    found = {
        name: _problems(spec, kafka, configs[name]) for spec, name in zip(TABLE, names, strict=True) if name in configs
    }
    return [
        TopicState(
            name=name,
            partitions=partitions.get(name, 0),
            problems=REFUSED if name in refused else found.get(name, MISSING),
        )
        for name in names
    ]


#: Where Kafka says a setting comes from: the topic's own.
_TOPIC_SOURCE = 1
MISSING = {"topic": "is missing"}
#: A broker doesn't tell a user without the right whether there is such a topic.
REFUSED = {"access": "is refused: the user may not see the topic or its settings (liveness topics acls)"}


async def _configs(
    client: AIOKafkaAdminClient, names: list[str], *, own_only: bool = False
) -> tuple[dict[str, dict[str, str]], set[str]]:
    """Settings of each topic that is there, its own or all that apply; and the topics that this user may not see."""
    if not names:
        return {}, set()
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, dict[str, str]] = {}
    refused: set[str] = set()
    for response in await client.describe_configs(asked):
        for code, _message, _kind, name, entries in response.resources:
            if code == TopicAuthorizationFailedError.errno:
                refused.add(name)
            elif not code:
                found[name] = {e[0]: e[1] for e in entries if not own_only or e[3] == _TOPIC_SOURCE}
    return found, refused


#: What a record's life is made of; see `TopicSpec`.
_LIFETIMES = ("retention.ms", "segment.ms")
_FOR_EVER = "-1"


def _problems(spec: TopicSpec, kafka: KafkaSettings, actual: Mapping[str, str]) -> dict[str, str]:
    """Setting -> what is wrong with it. Only what would lose or refuse records, or keep biometric data longer than
    people are told; the rest is the operator's business."""
    wanted = topic_configs(spec, kafka)
    problems = {}
    if int(actual.get("max.message.bytes", "0")) < int(wanted["max.message.bytes"]):
        problems["max.message.bytes"] = f"is {actual.get('max.message.bytes')}, needs {wanted['max.message.bytes']}"
    if actual.get("cleanup.policy") != spec.cleanup:  # "compact,delete" too keeps a person's last record alone
        problems["cleanup.policy"] = f"is {actual.get('cleanup.policy')}, needs {spec.cleanup}"
    if actual.get("message.timestamp.type") != wanted["message.timestamp.type"]:
        problems["message.timestamp.type"] = "is not LogAppendTime: event time would be the sender's"
    for setting in _LIFETIMES if spec.biometric else ():
        if not 0 <= int(actual.get(setting, _FOR_EVER)) <= int(wanted[setting]):
            problems[setting] = (
                f"is {actual.get(setting)}, at most {wanted[setting]}: biometric data would be kept too long"
            )
    return problems
