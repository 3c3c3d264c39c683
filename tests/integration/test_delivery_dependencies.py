"""A dependency goes away and comes back: the worker waits, says for what, decides nothing, loses nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stream.events.topics import Topic
from tests.e2e.analysers import begun, marked
from tests.e2e.checker import group_lag
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation, long_hold
from tests.e2e.pictures import plain_picture, submission
from tests.e2e.private_pair import PrivatePair
from tests.e2e.waiting import eventually
from tests.e2e.workers import LIVENESS, SCRIPTED, Worker

pytestmark = [pytest.mark.local_services, pytest.mark.slow]

MANY = 12


async def says_it_waits(worker: Worker, dependency: str) -> None:
    """In its log, in its health answer and in its metrics."""
    await worker.said("waiting", dependency=dependency)

    async def not_ready() -> bool:
        status, body = await asyncio.to_thread(worker.get, "/ready")
        return status == 503 and f'"{dependency}"' in body

    await eventually(not_ready, f"/ready answers 503 and names {dependency}")
    _, metrics = await asyncio.to_thread(worker.get, "/metrics")
    assert f'liveness_waiting{{dependency="{dependency}"}} 1.0' in metrics
    assert worker.get("/live")[0] == 200, "waiting is no reason to be restarted"


async def all_decided(installation: Installation, number: int) -> None:
    report = await installation.sound_report()
    assert report.decided == number


async def test_redis_away(install_private: MakeInstallation, private_pair: PrivatePair) -> None:
    installation = await install_private()
    worker = await installation.workers.start(SCRIPTED).ready()
    await private_pair.kill("redis")
    await installation.publish(submission(plain_picture()) for _ in range(MANY))
    await says_it_waits(worker, "redis")
    assert await installation.decisions() == 0
    assert await group_lag(installation.settings) == {Topic.SUBMISSIONS: MANY, Topic.DETECTIONS: 0}
    await private_pair.start("redis")
    await worker.ready()
    await worker.said("no_longer_waiting", dependency="redis")
    await all_decided(installation, MANY)
    assert 'liveness_waiting{dependency="redis"} 0.0' in worker.get("/metrics")[1]


async def test_broker_away(install_private: MakeInstallation, private_pair: PrivatePair, tmp_path: Path) -> None:
    """Pictures are in flight when the broker goes: their outputs wait, and go out when it is back."""
    installation = await install_private(partitions=1, delivery__send_timeout_s="3", **long_hold(tmp_path))
    gate = tmp_path / "gate"
    worker = await installation.workers.start(SCRIPTED).ready()
    first = submission(marked(plain_picture(), "hold", gate))
    await installation.publish([first, *(submission(plain_picture()) for _ in range(MANY - 1))])
    await eventually(begun(gate).exists, "a picture is in flight")
    await private_pair.kill("kafka")
    gate.touch()
    await says_it_waits(worker, "kafka")
    await private_pair.start("kafka")
    await all_decided(installation, MANY)
    assert worker.code is None, "the same worker went on"


async def test_output_refused(install_private: MakeInstallation) -> None:
    """The worker waits, then leaves with code 3 and without an ack; once the topic is mended, nothing is lost."""
    installation = await install_private(delivery__output_patience_s="5", delivery__send_timeout_s="2")
    worker = await installation.workers.start(SCRIPTED).ready()
    await installation.configure(Topic.DECISIONS, {"max.message.bytes": "10"})
    await installation.publish(submission(plain_picture()) for _ in range(MANY))
    await worker.said("waiting", dependency="kafka")
    assert await worker.ended() == 3
    assert worker.events("gave_up_waiting")
    assert await installation.decisions() == 0
    assert (await group_lag(installation.settings))[Topic.DETECTIONS] == MANY, "nothing was acknowledged"
    await installation.configure(Topic.DECISIONS, {"max.message.bytes": "1048576"})
    await installation.workers.start(SCRIPTED).ready()
    await all_decided(installation, MANY)


async def test_services_away_at_the_start(install_private: MakeInstallation, private_pair: PrivatePair) -> None:
    installation = await install_private(delivery__startup_patience_s="3")
    nowhere = "127.0.0.1:9"
    without_redis = installation.workers.start(LIVENESS, redis__url=f"redis://{nowhere}/0")
    without_broker = installation.workers.start(LIVENESS, kafka__bootstrap_servers=nowhere)
    assert await without_redis.ended() == 3
    assert "redis did not answer for" in without_redis.output
    assert await without_broker.ended() == 3
    assert "kafka did not answer for" in without_broker.output
    assert nowhere in without_broker.output, "it says where it looked"


async def test_broker_gone_before_join(install_private: MakeInstallation) -> None:
    """The scripted worker doesn't look at the topics first, so that its join meets no broker."""
    installation = await install_private()
    worker = installation.workers.start(SCRIPTED, kafka__bootstrap_servers="127.0.0.1:9")
    assert await worker.ended() == 3
    assert "kafka did not answer" in worker.events("gave_up_waiting")[0]["why"]


async def test_redis_comes_during_the_start(install_private: MakeInstallation, private_pair: PrivatePair) -> None:
    """Started before Redis: it waits, then works."""
    installation = await install_private()
    await private_pair.kill("redis")
    worker = installation.workers.start(SCRIPTED)
    await worker.said("waiting", dependency="redis")
    await private_pair.start("redis")
    await worker.ready()
    await installation.publish([submission(plain_picture())])
    await all_decided(installation, 1)
