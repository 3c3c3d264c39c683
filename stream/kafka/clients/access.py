"""The access rights that each principal needs of Kafka, and no more: one table, from which ACLs and documents follow.

Groups and topics have an installation's names, so that principals of one installation can't reach another's.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from config.settings import Settings
from stream.events.topics import Topic, topic_name


class Principal(StrEnum):
    """Principal by what it does; its user at the broker may have any name."""

    PUBLISHER = "publisher"
    WORKER = "worker"
    NOTIFIER = "notifier"
    DETECTOR = "detector"
    REVIEWER = "reviewer"
    APP_SERVER = "app-server"
    READER = "reader"
    IMAGE_READER = "image-reader"
    OPERATOR = "operator"


class Operation(StrEnum):
    """Kafka's own names. Read and Write hold Describe."""

    READ = "Read"
    WRITE = "Write"
    CREATE = "Create"
    DESCRIBE = "Describe"
    DESCRIBE_CONFIGS = "DescribeConfigs"
    ALTER_CONFIGS = "AlterConfigs"


class Resource(StrEnum):
    TOPIC = "topic"
    GROUP = "group"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Grant of operations on one resource, or on all whose names begin so (`prefixed`)."""

    principal: Principal
    resource: Resource
    name: str
    operations: Sequence[Operation]
    prefixed: bool = False


_READ, _WRITE, _LOOK = (Operation.READ,), (Operation.WRITE,), (Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS)
#: What a principal does with topics. A worker looks at every topic before it starts, and reads the newest decisions and
#: answers, which Redis must have (`stream.maintenance.older_copy`); an operator makes and mends topics, and reads those
#: that `liveness abuse rebuild`, `tail` and `abuse watch` read.
RIGHTS: dict[Principal, dict[Topic, Sequence[Operation]]] = {
    Principal.PUBLISHER: {Topic.SUBMISSIONS: _WRITE},
    Principal.WORKER: {
        Topic.SUBMISSIONS: (*_READ, *_LOOK),
        Topic.DETECTIONS: (*_READ, *_WRITE, *_LOOK),
        Topic.DECISIONS: (*_READ, *_WRITE, *_LOOK),
        Topic.ABUSE_FLAGS: (*_WRITE, *_LOOK),
        Topic.SESSIONS: (*_WRITE, *_LOOK),
        Topic.SESSION_IMAGES: (*_WRITE, *_LOOK),
        Topic.COMMANDS: (*_READ, *_LOOK),
        Topic.AUDIT: (*_READ, *_WRITE, *_LOOK),
        Topic.DEAD_LETTER: (*_WRITE, *_LOOK),
    },
    Principal.NOTIFIER: {Topic.ABUSE_FLAGS: _READ, Topic.DEAD_LETTER: _WRITE},
    Principal.DETECTOR: {Topic.SUBMISSIONS: _READ, Topic.DETECTIONS: _WRITE},
    Principal.REVIEWER: {Topic.COMMANDS: _WRITE, Topic.AUDIT: _READ, Topic.ABUSE_FLAGS: _READ},
    Principal.APP_SERVER: {Topic.COMMANDS: _WRITE, Topic.SESSIONS: _READ},
    Principal.READER: {Topic.DECISIONS: _READ, Topic.ABUSE_FLAGS: _READ},
    Principal.IMAGE_READER: {Topic.SESSION_IMAGES: _READ},
    Principal.OPERATOR: {
        topic: (Operation.CREATE, Operation.ALTER_CONFIGS, *_LOOK, *(() if topic in unread else _READ))
        for unread in ({Topic.SUBMISSIONS, Topic.SESSION_IMAGES},)
        for topic in Topic
    },
}


def notifier_group(settings: Settings) -> str:
    """Consumer group of the notifier: it neither takes partitions from workers nor waits for them."""
    return f"{settings.group_id}-notify"


def reader_groups(settings: Settings) -> str:
    """Beginning of the names of the consumer groups of those who read decisions, or answers about sessions."""
    return f"{settings.kafka.topic_prefix}reader-"


def grants(settings: Settings) -> Iterator[Grant]:
    """Every grant of an installation, principal by principal. Groups of other processes may have any further name."""
    prefix = settings.kafka.topic_prefix
    groups = {
        Principal.WORKER: (settings.group_id, _READ, False),
        Principal.NOTIFIER: (notifier_group(settings), _READ, False),
        Principal.DETECTOR: (f"{prefix}detector-", _READ, True),
        Principal.APP_SERVER: (reader_groups(settings), _READ, True),
        Principal.READER: (reader_groups(settings), _READ, True),
        Principal.IMAGE_READER: (f"{prefix}image-reader-", _READ, True),
        Principal.OPERATOR: (settings.group_id, (Operation.DESCRIBE,), False),
    }
    for principal, topics in RIGHTS.items():
        for topic, operations in topics.items():
            name = topic_name(topic, settings.kafka)
            yield Grant(principal=principal, resource=Resource.TOPIC, name=name, operations=operations)
        if principal in groups:
            name, operations, prefixed = groups[principal]
            yield Grant(
                principal=principal, resource=Resource.GROUP, name=name, operations=operations, prefixed=prefixed
            )


def as_kafka_acls(grant: Grant, user: str, servers: str, command_config: str) -> str:
    """Call of Kafka's own tool that makes the grant. May be repeated."""
    words = ["kafka-acls.sh", "--bootstrap-server", servers, "--command-config", command_config, "--add"]
    words += ["--allow-principal", user]
    words += [word for operation in grant.operations for word in ("--operation", str(operation))]
    words += [f"--{grant.resource}", grant.name]
    words += ["--resource-pattern-type", "prefixed"] if grant.prefixed else []
    return shlex.join(words)
