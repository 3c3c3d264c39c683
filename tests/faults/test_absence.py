"""Dependencies away or frozen while workers stop, join or idle: exits in time, nothing lost, and all of it said."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from stream.events.topics import Topic
from tests.e2e.checker import group_lag
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.pictures import plain_picture, submission
from tests.e2e.private_pair import PrivatePair
from tests.e2e.waiting import eventually
from tests.e2e.workers import SCRIPTED

pytestmark = [pytest.mark.local_services, pytest.mark.slow]

MANY = 12
#: What an operator's tools wait after a SIGTERM.
STOPPED_S = 45.0
#: A worker says so long after the broker is gone, at the latest, that it is.
SAID_S = 20.0
BYTES_A_MINUTE = 50_000

Away = Callable[[Installation, PrivatePair], Awaitable[Callable[[], Awaitable[object]]]]


async def killed(_installation: Installation, pair: PrivatePair) -> Callable[[], Awaitable[object]]:
    await pair.kill("redis")
    return lambda: pair.start("redis")


async def frozen(installation: Installation, _pair: PrivatePair) -> Callable[[], Awaitable[object]]:
    """Redis takes connections and answers nothing."""
    async with Redis.from_url(installation.settings.redis.url.get_secret_value()) as redis:
        pid = int((await redis.info("server"))["process_id"])
    os.kill(pid, signal.SIGSTOP)

    async def again() -> None:
        os.kill(pid, signal.SIGCONT)

    return again


@asynccontextmanager
async def redis_away(away: Away, installation: Installation, pair: PrivatePair) -> AsyncIterator[None]:
    back = await away(installation, pair)
    try:
        yield
    finally:
        await back()


@pytest.mark.parametrize("away", [killed, frozen])
async def test_stop_while_redis_is_away(
    install_private: MakeInstallation, private_pair: PrivatePair, away: Away
) -> None:
    installation = await install_private()
    worker = await installation.workers.start(SCRIPTED).ready()
    async with redis_away(away, installation, private_pair):
        await installation.publish(submission(plain_picture()) for _ in range(MANY))
        await worker.said("waiting", dependency="redis")
        began = time.monotonic()
        worker.terminate()
        assert await worker.ended(STOPPED_S) == 0
        assert time.monotonic() - began < STOPPED_S
        assert await group_lag(installation.settings) == {Topic.SUBMISSIONS: MANY, Topic.DETECTIONS: 0}
    await installation.workers.start(SCRIPTED).ready()
    assert (await installation.sound_report()).decided == MANY


async def test_stop_during_the_start(install_private: MakeInstallation, private_pair: PrivatePair) -> None:
    """Asked to stop while it waits for its first answer, a worker doesn't wait for the end of its patience."""
    installation = await install_private()
    async with redis_away(killed, installation, private_pair):
        worker = installation.workers.start(SCRIPTED)
        await worker.said("waiting", dependency="redis")
        worker.terminate()
        assert await worker.ended(STOPPED_S) == 0


async def test_stop_while_kafka_is_away(install_private: MakeInstallation, private_pair: PrivatePair) -> None:
    """An idle worker says that its broker is gone, without flooding its log, and stops when told to."""
    installation = await install_private()
    worker = await installation.workers.start(SCRIPTED).ready()
    await private_pair.kill("kafka")
    try:
        began, written = time.monotonic(), len(worker.output)
        await worker.said("waiting", SAID_S, dependency="kafka")
        assert worker.get("/ready")[0] == 503
        worker.terminate()
        assert await worker.ended(STOPPED_S) == 0
        minutes = (time.monotonic() - began) / 60
        assert (len(worker.output) - written) / minutes < BYTES_A_MINUTE
    finally:
        await private_pair.start("kafka")


async def test_joins_while_redis_is_frozen(install_private: MakeInstallation, private_pair: PrivatePair) -> None:
    """Partitions change hands while every record waits; all are decided soon after Redis is back."""
    installation = await install_private()
    await installation.workers.run(2)
    async with redis_away(frozen, installation, private_pair):
        await installation.publish(submission(plain_picture()) for _ in range(MANY))
        for worker in installation.workers.started:
            await worker.said("waiting", dependency="redis")
        first, second = installation.workers.started
        assigned = len(second.events("partitions_assigned"))
        first.kill()
        await eventually(lambda: len(second.events("partitions_assigned")) > assigned, "the other takes over")
    assert (await installation.sound_report(30)).decided == MANY
    assert second.code is None
