"""`liveness worker`: take in submissions, decide, publish; until told to stop."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from config import settings as configuration
from config.settings import Settings
from stream import logs, provisioning
from stream.bootstrap import build_worker
from stream.kafka_clients import KafkaUnreachable
from stream.patience import Patience, Unavailable
from stream.provisioning import MENDING_COMMAND, ProvisioningError
from stream.run import run
from stream.worker import Role


def command(
    roles: Annotated[
        str, typer.Option(help="Which agents to run, comma-separated: detect, decide.")
    ] = "detect,decide",
) -> None:
    """Run a worker. Start as many as there are partitions; they share the work."""
    chosen = _roles(roles)
    settings = configuration.load()
    logs.configure(settings.log)
    asyncio.run(_check_topics(settings))
    run(build_worker(settings, chosen))


def _roles(text: str) -> frozenset[Role]:
    try:
        chosen = frozenset(Role(part.strip()) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"expected some of {', '.join(Role)}", param_hint="--roles") from None
    return chosen


async def _check_topics(settings: Settings) -> None:
    """Refuse to start on topics that would lose or refuse records; wait a while for a broker that is away."""
    if settings.kafka.embedded:
        return
    patience = Patience()
    states = await patience.insist(lambda: _look(settings), at_most_s=settings.delivery.startup_patience_s)
    problems = [f"{state.name}: {state.in_words}" for state in states if state.problems]
    if problems:
        raise ProvisioningError(f"{'; '.join(problems)}. Mend with: {MENDING_COMMAND}")


async def _look(settings: Settings) -> list[provisioning.TopicState]:
    try:
        return await provisioning.check(settings.kafka)
    except KafkaUnreachable as error:
        raise Unavailable("kafka", str(error)) from error
