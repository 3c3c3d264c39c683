"""Installation that is measured: the embedded services, or the configured ones behind prefixes of its own.

Addresses, devices, faces and pictures are compared as in production: without hash keys in the settings the measured
worker gets a key of its own. On configured services topics and keys have fresh prefixes and are removed afterwards: no
other topic or key is touched.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
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
from stream.embedded.session import EmbeddedServices, settings_under
from stream.events.topics import TABLE, topic_name
from stream.kafka.clients import provisioning
from stream.kafka.clients.clients import admin

#: The shortest time the settings allow.
DECISION_TTL_S = 3600


class Broker(StrEnum):
    EMBEDDED = "embedded"
    CONFIGURED = "configured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Services under measurement: `environment` for the worker, the same as `settings` for clients in this process,
    and the local `processes` behind the services by role, as far as known."""

    settings: Settings
    environment: dict[str, str]
    processes: dict[str, int]


def default_broker() -> Broker:
    """Broker to measure on: the configured one, if any is configured."""
    named = "bootstrap_servers" in configuration.load().kafka.model_fields_set
    return Broker.CONFIGURED if named else Broker.EMBEDDED


@contextmanager
def installation(broker: Broker, slots: int | None, say: Say) -> Iterator[Installation]:
    """Installation, fresh, removed on exit. Raises KafkaUnreachable or ProvisioningError without a usable broker, and
    the errors of `EmbeddedServices`."""
    own = {"LIVENESS_LOG__LEVEL": "warning", "LIVENESS_REDIS__DECISION_TTL_S": str(DECISION_TTL_S)}
    if not configuration.load().abuse.hash_keys:
        own["LIVENESS_ABUSE__HASH_KEYS"] = json.dumps([{"id": "bench", "secret": secrets.token_hex(32)}])
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
            # Set explicitly: a key prefix in the user's settings would mix the benchmark's keys with the workers'.
            environment = {**topics, "LIVENESS_REDIS__KEY_PREFIX": keys, **own}
            processes = {}
        settings = settings_under(environment)
        if broker is Broker.CONFIGURED:
            exits.enter_context(_topics(settings))
            processes = _local_services(settings)
        yield Installation(settings=settings, environment=environment, processes=processes)


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
