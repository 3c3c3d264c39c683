"""How a worker lets go of partitions and stops: with its work finished, or with work dropped that may take long."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from structlog.testing import capture_logs

from config.errors import Unavailable
from config.settings import Settings
from stream.kafka.agents.publishing import Publisher
from stream.kafka.consumer.app import LOOK_EVERY_S, LOOK_WITHIN_S, BrokerWatch
from stream.kafka.exit_codes import EXIT_DONE
from stream.kafka.worker.worker import (
    DROP_AFTER_S,
    FINISH_S,
    HANDOVER_SHARE,
    LEAVE_AFTER_S,
    Worker,
    WorkerComponents,
)
from stream.runtime.clock import Clock
from stream.runtime.patience import DependencyTimeout, RetryPolicy
from tests.unit.stream.kafka.agent_scene import P0, P1, Scene
from tests.unit.stream.runtime.virtual_time import now, on_virtual_time

SETTINGS = Settings()


class LoopClock(Clock):
    def now_ms(self) -> int:
        return int(now() * 1000)

    def monotonic(self) -> float:
        return now()


class FakeApp:
    """The part of the app that a worker uses. A commit takes as long as the test says."""

    consumer_generation_id = 1

    def __init__(self) -> None:
        # The tests call the worker themselves.
        self.attach = self.topic = lambda *_: None
        self.agent = lambda *_, **__: lambda function: function
        self.on_partitions_assigned = self.on_partitions_revoked = SimpleNamespace(connect=lambda *_, **__: None)
        self.consumer = self
        self.commit_s = 0.01
        self.commits = 0

    async def commit(self) -> None:
        await asyncio.sleep(self.commit_s)
        self.commits += 1


class Working:
    """A worker with one agent that has two records of each of two partitions in hand, the second of each done."""

    def __init__(self, finishes_work: bool) -> None:
        self.app, self.scene, self.left = FakeApp(), Scene(), list[int]()
        app: Any = self.app
        self.patience = patience = RetryPolicy()
        publisher = Publisher(self.scene._send, patience, at_most_s=1)
        parts = {"settings": SETTINGS, "app": app, "publisher": publisher, "patience": patience, "clock": LoopClock()}
        self.worker = Worker(WorkerComponents(agents=[self.scene.spec], finishes_work=finishes_work, **parts))
        self.worker._leave = lambda code, _event: self.left.append(code)  # type: ignore[method-assign,assignment,return-value]
        self.worker._acks = self.scene.acks
        self.worker._runners.append(self.scene.runner)

    async def begin(self) -> Working:
        for partition in (0, 1):
            await self.scene.put(range(2), partition)
            await self.scene.end(1, partition=partition)
        return self

    async def wait_for_redis(self) -> None:
        async def away() -> None:
            raise Unavailable("redis", "Away")

        await self.patience.until_available(away)

    async def end(self) -> None:
        await self.worker.stop()
        self.scene._task.cancel()
        await asyncio.sleep(0.1)
        assert self.scene.working == {}, "nothing goes on after the stop"


HANDOVER_S = HANDOVER_SHARE * SETTINGS.delivery.rebalance_timeout_s


@pytest.mark.parametrize(
    ("finishes_work", "away", "ends_after_s", "gone_after_s"),
    [
        (False, False, None, 0),
        (True, False, 7, 7),
        (True, False, None, HANDOVER_S),
        (True, True, None, DROP_AFTER_S),
    ],
    ids=["any time", "done", "hanging", "dependency away"],
)
@on_virtual_time
async def test_partitions_go(finishes_work: bool, away: bool, ends_after_s: float | None, gone_after_s: float) -> None:
    """Work on partitions that go may end, shortly while a dependency is away; what is left is dropped."""
    working = await Working(finishes_work).begin()
    waiting = asyncio.create_task(working.wait_for_redis()) if away else None
    began = now()
    revoking = asyncio.create_task(working.worker.revoking({P0}))
    if ends_after_s is not None:
        await asyncio.sleep(ends_after_s - 1)
        await working.scene.end(0)
    await revoking
    assert now() - began == pytest.approx(gone_after_s, abs=1)
    await asyncio.sleep(0.1)
    assert list(working.scene.working) == [(1, 0)]
    assert working.scene.acked[0] == ([] if ends_after_s is None else [0, 1])
    assert working.app.commits == 1
    assert working.left == working.scene.failures == []
    if waiting is not None:
        waiting.cancel()
    await working.end()


@on_virtual_time
async def test_revocation_without_a_broker() -> None:
    working = await Working(finishes_work=False).begin()
    working.app.commit_s, began = 1000, now()
    with capture_logs() as logs:
        await working.worker.revoking({P0, P1})
    assert now() - began == pytest.approx(DROP_AFTER_S)
    assert [entry["event"] for entry in logs] == ["not_committed"]
    await working.end()


@on_virtual_time
async def test_stop_drops_slow_work() -> None:
    working = await Working(finishes_work=False).begin()
    stopping = asyncio.create_task(working.worker.stopping())
    await asyncio.sleep(DROP_AFTER_S / 2)
    await working.scene.end(0)
    with capture_logs() as logs:
        await stopping
    assert working.scene.acked == {0: [0, 1], 1: []}
    assert {"event": "work_dropped", "records": 1, "log_level": "info"} in logs
    await working.end()


@pytest.mark.parametrize(
    ("finishes_work", "away", "dropped_after_s"),
    [(True, False, FINISH_S), (True, True, DROP_AFTER_S), (False, False, DROP_AFTER_S)],
)
@on_virtual_time
async def test_hanging_stop_leaves(finishes_work: bool, away: bool, dropped_after_s: float) -> None:
    """Dropped work is read again, so leaving is no failure."""
    working = await Working(finishes_work).begin()
    waiting = asyncio.create_task(working.wait_for_redis()) if away else None
    began = now()
    await working.worker.stopping()
    assert now() - began == pytest.approx(dropped_after_s, abs=1)
    await asyncio.sleep(LEAVE_AFTER_S - 0.1)
    assert working.left == []
    await asyncio.sleep(0.2)
    assert working.left == [EXIT_DONE]
    if waiting is not None:
        waiting.cancel()
    await working.end()


@pytest.mark.parametrize(("finishes_work", "dropped", "stuck"), [(True, 0, True), (False, 0, False), (False, 1, True)])
@on_virtual_time
async def test_long_work_may_be_stuck(finishes_work: bool, dropped: bool, stuck: bool) -> None:
    """Stuck, too, where records wait and none of them is being worked on, for any reason."""
    working = await Working(finishes_work).begin()
    if dropped:
        working.scene.runner.drop()
    for _ in range(900):
        await asyncio.sleep(1)
        state = working.worker.state()
    assert (state.in_flight, state.waiting_for, state.stalled) == (4, (), stuck)
    await working.end()


class FakeProducer:
    """`_producer.client` as Faust's; away when told so."""

    def __init__(self) -> None:
        self._producer = SimpleNamespace(client=self)
        self.looks = 0
        self.away = ""

    async def maybe_start_producer(self) -> Any:
        return self

    async def force_metadata_update(self) -> bool:
        self.looks += 1
        if self.away == "hangs":
            await asyncio.sleep(1000)
        return not self.away


@pytest.mark.parametrize("away", ["hangs", "refuses"])
@on_virtual_time
async def test_broker_watch_notices_absence(away: str) -> None:
    producer, patience = FakeProducer(), RetryPolicy()
    app: Any = producer
    watch = asyncio.create_task(BrokerWatch(app, patience, SETTINGS.delivery, AsyncMock(return_value=None)).run())
    await asyncio.sleep(LOOK_EVERY_S * 3.5)
    assert (producer.looks, patience.waiting_for) == (3, ())
    producer.away = away
    await asyncio.sleep(LOOK_EVERY_S + LOOK_WITHIN_S)
    assert patience.waiting_for == ("kafka",)
    with pytest.raises(DependencyTimeout, match="kafka"):
        await asyncio.wait_for(watch, SETTINGS.delivery.output_patience_s + SETTINGS.delivery.send_timeout_s)
