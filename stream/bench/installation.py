"""Where the path is measured: the embedded services, or the configured ones behind a prefix of our own.

On configured services topics and keys stand under fresh prefixes and are removed afterwards, so that nothing of the
installation there is touched, and nothing stays.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from config import settings as configuration
from config.settings import Settings
from stream.bench.accounting import listening_on
from stream.bench.redis_room import Say, room
from stream.embedded.session import EmbeddedServices
from stream.events.topics import TABLE, topic_name
from stream.kafka import provisioning
from stream.kafka.clients import admin

#: Decisions of a benchmark are of no use to anybody; the shortest time the settings allow.
DECISION_TTL_S = 3600


class Broker(StrEnum):
    EMBEDDED = "embedded"
    CONFIGURED = "configured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """`environment` is for the worker, `settings` says the same to clients in this process. `processes` are
    the local ones behind the services, by role, as far as they can be known."""

    settings: Settings
    environment: dict[str, str]
    processes: dict[str, int]


def default_broker() -> Broker:
    """The configured broker if one is configured at all."""
    named = "bootstrap_servers" in configuration.load().kafka.model_fields_set
    return Broker.CONFIGURED if named else Broker.EMBEDDED


@contextmanager
def installation(broker: Broker, slots: int | None, say: Say) -> Iterator[Installation]:
    """A fresh one. Raises KafkaUnreachable or ProvisioningError where there is no broker to use, and what
    `EmbeddedServices` raises."""
    own = {"LIVENESS_LOG__LEVEL": "warning", "LIVENESS_REDIS__DECISION_TTL_S": str(DECISION_TTL_S)}
    if slots is not None:
        own["LIVENESS_DETECTION__SLOTS"] = str(slots)
    with ExitStack() as exits:
        if broker is Broker.EMBEDDED:
            services = exits.enter_context(EmbeddedServices())
            environment = {**services.environment, **own}
            # The broker lives in threads of this process.
            processes = {"bench_with_embedded_broker": os.getpid(), "redis": services.redis_pid}
        else:
            keys = exits.enter_context(room(configuration.load().redis, say))
            topics = {"LIVENESS_KAFKA__TOPIC_PREFIX": f"bench-{uuid.uuid4().hex[:12]}."}
            # Said though it would follow the topics': the user's own setting would have us among the keys of workers.
            environment = {**topics, "LIVENESS_REDIS__KEY_PREFIX": keys, **own}
            processes = {}
        settings = exits.enter_context(_settings(environment))
        if broker is Broker.CONFIGURED:
            exits.enter_context(_topics(settings))
            processes = _local_services(settings)
        yield Installation(settings=settings, environment=environment, processes=processes)


@contextmanager
def _settings(environment: dict[str, str]) -> Iterator[Settings]:
    """The user's settings with ours on top, read the way the worker reads them."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        settings = configuration.load()
    finally:
        os.environ.clear()
        os.environ.update(before)
    yield settings


@contextmanager
def _topics(settings: Settings) -> Iterator[None]:
    asyncio.run(provisioning.create(settings.kafka))
    try:
        yield
    finally:
        asyncio.run(_delete(settings))


async def _delete(settings: Settings) -> None:
    async with admin(settings.kafka) as client:
        await client.delete_topics([topic_name(spec.topic, settings.kafka) for spec in TABLE])


def _local_services(settings: Settings) -> dict[str, int]:
    first_broker = settings.kafka.bootstrap_servers.split(",")[0]
    addresses = {"broker": f"kafka://{first_broker}", "redis": settings.redis.url.get_secret_value()}
    found = {}
    for role, address in addresses.items():
        parts = urlsplit(address)
        pid = listening_on(parts.hostname or "", parts.port or 0)
        if pid is not None:
            found[role] = pid
    return found
