"""An installation of the processor for one test: own topics, own group, own Redis keys, short timeouts."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from config.secret_files import with_secrets
from config.settings import Settings
from stream.events.message.messages import Record
from stream.events.topics import Topic, topic_name
from stream.events.wire.submissions import Form, NewSubmission, submission_output
from stream.kafka.clients import provisioning
from stream.kafka.clients.clients import admin, producer, send
from stream.kafka.clients.security import client_security
from tests.e2e.checker import Report, group_lag, read_all, read_and_check
from tests.e2e.waiting import eventually
from tests.e2e.workers import Workers

#: A killed worker gives its partitions up after six seconds, the least a broker allows by default.
QUICK_REJOIN = {
    "LIVENESS_DELIVERY__SESSION_TIMEOUT_S": "6",
    "LIVENESS_DELIVERY__HEARTBEAT_INTERVAL_S": "1.5",
    "LIVENESS_DELIVERY__COMMIT_INTERVAL_S": "0.5",
}


class Installation:
    """`environment` is what its `workers` get; every other method looks at it from outside, as a client."""

    def __init__(self, services: Mapping[str, str], folder: Path, partitions: int = 4, **changed: str) -> None:
        """`folder` takes the workers' logs; `changed`: settings in lower case, as in `delivery__send_timeout_s="3"`."""
        self.environment = {
            **services,
            **QUICK_REJOIN,
            "LIVENESS_KAFKA__TOPIC_PREFIX": f"t{uuid.uuid4().hex[:10]}.",
            "LIVENESS_KAFKA__PARTITIONS": str(partitions),
            "LIVENESS_DETECTION__SLOTS": "1",
            "LIVENESS_LOG__FORMAT": "json",
            **{f"LIVENESS_{name.upper()}": value for name, value in changed.items()},
        }
        self._folder = folder
        self.workers = Workers(self.environment, folder)

    def restarted(self, **changed: str) -> Installation:
        """The same topics, group and keys, with other settings for workers and commands that start from now on."""
        settings = {f"LIVENESS_{name.upper()}": value for name, value in changed.items()}
        made = Installation({}, self._folder)
        made.environment = {**self.environment, **settings}
        made.workers = Workers(made.environment, self._folder)
        return made

    @cached_property
    def settings(self) -> Settings:
        """The settings of a worker with this environment."""
        values: dict[str, Any] = {}
        for name, value in with_secrets(self.environment).items():
            assert value is not None
            group, _, key = name.removeprefix("liveness_").partition("__")
            if key:
                values.setdefault(group, {})[key] = orjson.loads(value) if value[:1] in ("[", "{") else value
            else:
                values[group] = value
        return Settings(**values)

    def topic(self, topic: Topic) -> str:
        return topic_name(topic, self.settings.kafka)

    async def create_topics(self) -> None:
        if not self.settings.kafka.embedded:  # which makes them when they are first asked for
            await provisioning.create(self.settings.kafka)

    async def configure(self, topic: Topic, configs: Mapping[str, str]) -> None:
        """Give a topic these settings, as an operator would; all others fall back to the broker's own."""
        async with admin(self.settings.kafka) as client:
            (response,) = await client.alter_configs(
                [ConfigResource(ConfigResourceType.TOPIC, self.topic(topic), dict(configs))]
            )
        assert [code for code, *_ in response.resources] == [0]

    async def publish(self, submissions: Iterable[NewSubmission], form: Form = Form.BINARY) -> None:
        """Publish and wait for the broker's confirmation of each."""
        async with producer(self.settings.kafka) as client:
            for new in submissions:
                await send(client, submission_output(new, self.topic(Topic.SUBMISSIONS), form))

    async def decisions(self) -> int:
        """How many records the decisions topic holds now."""
        kafka = self.settings.kafka
        partitions = [TopicPartition(self.topic(Topic.DECISIONS), number) for number in range(kafka.partitions)]
        async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, **client_security(kafka)) as client:
            return sum((await client.end_offsets(partitions)).values())

    async def drained(self, within_s: float = 90.0) -> None:
        """Wait until the group has nothing left to read on either topic."""

        async def nothing_left() -> bool:
            return not any((await group_lag(self.settings)).values())

        await eventually(nothing_left, "the group has read everything", within_s)

    async def progress(self, chance: random.Random, decisions: tuple[int, int], seconds: tuple[float, float]) -> None:
        """Wait for a random number of further decisions or a random time: during a rebalance no decisions come."""
        goal = await self.decisions() + chance.randint(*decisions)
        deadline = time.monotonic() + chance.uniform(*seconds)

        async def enough() -> bool:
            return time.monotonic() > deadline or await self.decisions() >= goal

        await eventually(enough, "the time for the next kill has come")

    async def check(self) -> Report:
        return await read_and_check(self.settings)

    async def sound_report(self, within_s: float = 90.0) -> Report:
        """The checker's report once the group has read everything; fails on any problem."""
        await self.drained(within_s)
        report = await self.check()
        assert report.sound, report.problems
        return report

    async def records(self, topic: Topic) -> list[Record]:
        return await read_all(self.settings, topic)

    async def events(self, topic: Topic) -> list[dict[str, Any]]:
        """The records of a topic as the JSON they hold."""
        return [orjson.loads(record.value or b"") for record in await self.records(topic)]


async def set_aside(installation: Installation, number: int) -> list[Record]:
    """The dead letters, once there are so many."""

    async def there() -> bool:
        return len(await installation.records(Topic.DEAD_LETTER)) >= number

    await eventually(there, f"{number} dead letters")
    return await installation.records(Topic.DEAD_LETTER)


def policy_file(folder: Path, *, detector_s: float, event_s: float) -> str:
    """A policy with these deadlines and nothing else changed; its path."""
    file = folder / f"policy-{uuid.uuid4().hex[:8]}.toml"
    file.write_text(f"[deadlines]\ndetector_s = {detector_s}\nevent_s = {event_s}\n")
    return str(file)


def long_hold(folder: Path) -> dict[str, str]:
    """Settings with which a picture may wait at a gate for a minute, whatever the machine is doing."""
    return {
        "policy_file": policy_file(folder, detector_s=60, event_s=130),
        "delivery__rebalance_timeout_s": "140",
        "delivery__stall_timeout_s": "150",
    }
