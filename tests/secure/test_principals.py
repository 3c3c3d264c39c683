"""Principals: each may do its own and nothing else, by the ACLs that `liveness topics acls` prints."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import GroupAuthorizationFailedError
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ResourceType

from stream.cli.worker import _check_topics
from stream.events.topics import Topic
from stream.kafka.clients.access import RIGHTS, Operation, Principal, reader_groups
from stream.kafka.clients.clients import TopicMissing
from stream.kafka.clients.security import KafkaRefuses, client_security
from tests.e2e.cli import quick_liveness
from tests.e2e.installation import Installation
from tests.e2e.pictures import distinct_pictures, submission
from tests.e2e.workers import LIVENESS
from tests.secure.secure_pair import SecurePair, admin_client

pytestmark = [pytest.mark.local_services, pytest.mark.slow]

WRONG_SETTINGS = 2
#: What a right holds beside its own operation.
HOLDS = {Operation.READ: Operation.DESCRIBE, Operation.WRITE: Operation.DESCRIBE}
HOLDS |= {Operation.ALTER_CONFIGS: Operation.DESCRIBE_CONFIGS}
GUID = "0b4c0d4e-6a0b-4b6f-8f5a-0d3c4cf3b0a1"
WHO = ("--actor", "ann", "--reason", "manual_check")


async def test_broker_knows_these_rights_only(secure: SecurePair, operated: Installation) -> None:
    """The broker is asked what each user may do with each topic."""
    for principal in Principal:
        client = admin_client(operated.restarted(**secure.login(principal)).settings)
        for topic in Topic:
            wanted = {right for each in RIGHTS[principal].get(topic, ()) for right in (each, HOLDS.get(each, each))}
            told = await asyncio.to_thread(_allowed, client, operated.topic(topic))
            assert told == {str(right) for right in wanted}, (principal, topic)


def _allowed(client: AdminClient, topic: str) -> set[str]:
    """Operations in Kafka's spelling; none for a topic that the user may not see."""
    asked = client.describe_topics(TopicCollection([topic]), include_authorized_operations=True)
    try:
        found = asked[topic].result(30).authorized_operations
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            return set()
        raise
    return {operation.name.title().replace("_", "") for operation in found}


async def test_each_does_its_own(secure: SecurePair, operated: Installation) -> None:
    """A picture's way with a user for each part of it, then the end of a worker whose right is taken away."""
    publisher, reader, reviewer, worker_ = (
        operated.restarted(**secure.login(name)) for name in ("publisher", "reader", "reviewer", "worker")
    )
    worker = await worker_.workers.start(LIVENESS).ready()
    try:
        await publisher.publish([submission(picture) for picture in distinct_pictures(1)])
        await operated.drained()
        assert len(await reader.records(Topic.DECISIONS)) == 1
        answer = await quick_liveness(reviewer, "abuse", "reset", GUID, *WHO, "--json")
        assert answer.document
        await quick_liveness(operated.restarted(**secure.login("operator")), "topics", "create")

        secure.revoke(operated.settings, ResourceType.TOPIC, operated.topic(Topic.SUBMISSIONS), "worker")
        assert await worker.ended() == WRONG_SETTINGS
        (said,) = worker.events("wrong_settings")
        assert f"the topic {operated.topic(Topic.SUBMISSIONS)}" in said["why"]
        assert "Traceback" not in worker.output
        assert not [secret for secret in secure.passwords() if secret in worker.output]
    finally:
        worker_.workers.end()
        await secure.grant(operated)


#: User, command -> what the command says of the topic. Exit codes of these errors: `stream.cli`.
REFUSED = [
    ("publisher", ("tail", "decisions", "--no-follow"), TopicMissing, Topic.DECISIONS),
    ("reader", ("tail", "dead-letter", "--no-follow"), TopicMissing, Topic.DEAD_LETTER),
    ("reader", ("abuse", "reset", GUID, *WHO), TopicMissing, Topic.AUDIT),
    ("reviewer", ("topics", "create"), KafkaRefuses, Topic.SUBMISSIONS),
]


async def test_no_other_does_it(secure: SecurePair, operated: Installation) -> None:
    """Commands by users who may not, each with a line that names the topic."""
    for user, arguments, kind, topic in REFUSED:
        with pytest.raises(kind, match=topic) as told:
            await quick_liveness(operated.restarted(**secure.login(user)), *arguments)
        assert "liveness topics acls" in str(told.value)
    with pytest.raises(KafkaRefuses, match="write"):
        await operated.restarted(**secure.login("reader")).publish([submission(b"no picture")])
    with pytest.raises(KafkaRefuses, match=Topic.DECISIONS):
        await _check_topics(operated.restarted(**secure.login("publisher")).settings)


async def test_groups_are_apart(secure: SecurePair, operated: Installation) -> None:
    """A reader may commit in groups of its own, and take no partition from workers."""
    reader = operated.restarted(**secure.login("reader")).settings
    topic = operated.topic(Topic.DECISIONS)
    security = {"bootstrap_servers": reader.kafka.bootstrap_servers, **client_security(reader.kafka)}
    async with AIOKafkaConsumer(topic, group_id=f"{reader_groups(reader)}one", **security) as client:
        assert client.assignment()
    with pytest.raises(GroupAuthorizationFailedError):
        async with AIOKafkaConsumer(topic, group_id=reader.group_id, **security):
            pass
