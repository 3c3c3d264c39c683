"""`liveness worker`: take in submissions, decide, publish; until told to stop."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated

import structlog
import typer
from aiokafka.errors import KafkaError

from config import settings as configuration
from config.errors import Unavailable
from config.settings import Settings
from detectors.pool import hide_memory
from stream.bootstrap.authentication import open_reviewers, say_what_is_believed, say_what_is_obeyed
from stream.bootstrap.detect_role import open_keys
from stream.bootstrap.shared import open_store
from stream.bootstrap.worker import build_worker
from stream.cli import topics
from stream.cli.service_checks import checked, say_weakened
from stream.kafka.clients.backlog import Backlog
from stream.kafka.clients.provisioning import MENDING_COMMAND, REFUSED, ProvisioningError, TopicState
from stream.kafka.clients.security import KafkaRefuses
from stream.kafka.worker.run import run
from stream.kafka.worker.worker import Role
from stream.runtime import logs
from stream.runtime.patience import RetryPolicy

log = structlog.get_logger()

ALL_ROLES = ",".join(Role)


def command(
    roles: Annotated[
        str, typer.Option(help="Which agents to run, comma-separated: detect, decide, command.")
    ] = ALL_ROLES,
) -> None:
    """Run a worker. Start as many as there are partitions; they share the work."""
    chosen = _roles(roles)
    settings = configuration.load()
    logs.configure(settings.log)
    if settings.detection.confinement != "off":
        hide_memory()  # before any process is forked or started: secrets are in the settings
    if Role.DETECT in chosen:
        open_keys(settings)  # a key that can't be used is said before any wait for a broker
    say_weakened(settings)
    say_what_is_believed(settings)
    if Role.COMMAND in chosen:
        open_reviewers(settings)  # as the keys
        say_what_is_obeyed(settings)
    asyncio.run(checked(_check_services(settings)))
    if Role.DETECT in chosen and not settings.abuse.hash_keys:
        log.warning(
            "addresses_and_devices_not_observed", mend="set LIVENESS_ABUSE__HASH_KEYS, the same in every worker"
        )
    run(build_worker(settings, chosen))


def _roles(text: str) -> frozenset[Role]:
    try:
        return frozenset(Role(part.strip()) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"expected some of {', '.join(Role)}", param_hint="--roles") from None


async def _check_services(settings: Settings) -> None:
    """Kafka and Redis checked before the agents start: waits a while for either."""
    # Silences the client library's line for every attempt; the retry policy says what is waited for.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    await _check_topics(settings)
    await _check_store(settings)
    logs.configure(settings.log)


async def _check_store(settings: Settings) -> None:
    store = open_store(settings)
    try:
        await RetryPolicy().until_available(store.ping, at_most_s=settings.delivery.startup_patience_s)
    finally:
        await store.close()


async def _check_topics(settings: Settings) -> None:
    """Topics checked: raises ProvisioningError for topics that would lose or refuse records; waits for a broker."""
    if settings.kafka.embedded:
        return
    states, backlogs = await RetryPolicy().until_available(
        _look, settings, at_most_s=settings.delivery.startup_patience_s
    )
    if hidden := [state.name for state in states if state.refused]:
        raise KafkaRefuses(f"kafka: {', '.join(hidden)}: access {REFUSED['access']}")
    problems = [f"{state.name}: {state.in_words}" for state in states if state.problems]
    if problems:
        raise ProvisioningError(f"{'; '.join(problems)}. Mend with: {MENDING_COMMAND}")
    for waiting in backlogs:
        if waiting.at_risk:
            log.warning("backlog_at_risk", topic=waiting.topic, lag=waiting.lag, mend="start more: liveness worker")
        elif waiting.lag:
            log.info("backlog", topic=waiting.topic, lag=waiting.lag)


async def _look(settings: Settings) -> tuple[list[TopicState], list[Backlog]]:
    try:
        return await topics.look(settings)
    except KafkaError as error:
        raise Unavailable("kafka", type(error).__name__) from error
