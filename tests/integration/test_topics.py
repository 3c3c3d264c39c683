"""Topics on a real broker: what they are made with, and what becomes of settings that somebody changed.

That Kafka drops what is past its time isn't shown here: a broker looks every five minutes by default.
"""

from __future__ import annotations

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from abuse.event_time import DAY_MS
from stream.events.topics import TABLE, Topic, topic_configs
from stream.kafka.clients import provisioning
from stream.kafka.clients.clients import admin
from tests.e2e.cli import quick_liveness
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.workers import LIVENESS

pytestmark = pytest.mark.real

KEPT_LONG = {"retention.ms": str(90 * DAY_MS)}


async def configs(installation: Installation, topic: Topic) -> dict[str, str]:
    """All that apply to a topic, as the broker tells them."""
    resource = ConfigResource(ConfigResourceType.TOPIC, installation.topic(topic))
    async with admin(installation.settings.kafka) as client:
        (response,) = await client.describe_configs([resource])
    return {entry[0]: entry[1] for entry in response.resources[0][4]}


async def test_topics_follow_the_table(install: MakeInstallation) -> None:
    installation = await install(partitions=1)
    for spec in TABLE:
        told = await configs(installation, spec.topic)
        assert topic_configs(spec, installation.settings.kafka).items() <= told.items(), spec.topic
    assert not any(state.problems for state in await provisioning.check(installation.settings.kafka))


async def test_long_retention_stops_worker(install: MakeInstallation) -> None:
    """Topics as they were made before segments had a time of ours, and one that somebody keeps longer."""
    installation = await install(partitions=1)
    kafka = installation.settings.kafka
    for spec in TABLE:
        before = {name: value for name, value in topic_configs(spec, kafka).items() if name != "segment.ms"}
        await installation.configure(spec.topic, before)
    for topic in (Topic.DETECTIONS, Topic.DECISIONS):
        (spec,) = (spec for spec in TABLE if spec.topic is topic)
        await installation.configure(topic, {**topic_configs(spec, kafka), **KEPT_LONG})

    worker = installation.workers.start(LIVENESS)
    assert await worker.ended() == 1
    for words in ("segment.ms is", "retention.ms is 7776000000, at most 86400000", provisioning.MENDING_COMMAND):
        assert words in " ".join(worker.output.split())
    checked = await quick_liveness(installation, "topics", "check", "--json", expect=1)
    wrong = {topic["name"]: set(topic["problems"]) for topic in checked.document["topics"] if topic["problems"]}
    assert wrong == {
        installation.topic(Topic.SUBMISSIONS): {"segment.ms"},
        installation.topic(Topic.DETECTIONS): {"retention.ms"},
        installation.topic(Topic.SESSION_IMAGES): {"segment.ms"},
        installation.topic(Topic.DEAD_LETTER): {"segment.ms"},
    }

    await quick_liveness(installation, "topics", "create")
    for spec in TABLE:
        kept = KEPT_LONG if spec.topic is Topic.DECISIONS else {}
        told = await configs(installation, spec.topic)
        assert {**topic_configs(spec, kafka), **kept}.items() <= told.items(), spec.topic
    await quick_liveness(installation, "topics", "check")
