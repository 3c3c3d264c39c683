"""Partitions that the client holds and doesn't fetch: the watchdog ends the worker, and no read begins too early."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from faust.tables.recovery import RebalanceAgain
from faust.types import TP

from config.settings import Settings
from stream.kafka.consumer.app import make_app
from tests.unit.stream.kafka.worker.test_worker_leaving import Working
from tests.unit.stream.runtime.virtual_time import on_virtual_time

PARTITION = TP("liveness.submissions", 0)


def place(working: Working, position: int | None, high: int | None, leader: int | None) -> None:
    """Assign the worker one partition, in which nothing is in work."""
    state = SimpleNamespace(has_valid_position=position is not None, position=position, highwater=high, lso=high)
    assignment = SimpleNamespace(tps={PARTITION}, state_value=lambda _: state)
    cluster = SimpleNamespace(leader_for_partition=lambda _: leader, partitions_for_topic=lambda _: {0})
    client = SimpleNamespace(
        _subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=assignment)),
        _client=SimpleNamespace(cluster=cluster),
    )
    app: Any = working.app
    app.assignment = lambda: {PARTITION}
    app._thread = SimpleNamespace(_ensure_consumer=lambda: client)
    app._committed_offset = app._read_offset = {}
    working.worker._progress.joined = True
    working.scene.runner.drop()
    working.scene.acks.revoke(working.scene.acks.partitions)


@pytest.mark.parametrize(
    ("position", "high", "leader", "stalled"),
    [(5, 5, 1, False), (None, 5, 1, True), (5, None, 1, True), (None, None, -1, False), (None, None, None, False)],
    ids=["read to its end", "no position", "never fetched", "no leader", "unknown leader"],
)
@on_virtual_time
async def test_unfetched_partition_is_a_standstill(
    position: int | None, high: int | None, leader: int | None, stalled: bool
) -> None:
    working = await Working(finishes_work=True).begin()
    place(working, position, high, leader)
    stall_s = working.worker._components.settings.delivery.stall_timeout_s
    states = []
    for _ in range(3):
        await asyncio.sleep(0.4 * stall_s)
        states.append(working.worker.state().stalled)
    assert states == [False, False, stalled], "a moment without a position is usual"
    await working.end()


@pytest.mark.parametrize("assigned", [False, True])
async def test_rebalance_overtakes_a_seek(assigned: bool) -> None:
    """The seek of the old assignment must not end as if it were done: Faust would read on in the middle. Nor if the
    new partitions are `assigned` before it ends."""
    never = AsyncMock()
    app: Any = make_app(Settings())
    consumer: Any = app.transport.create_consumer(
        callback=never, on_partitions_revoked=never, on_partitions_assigned=never
    )

    async def begin_rebalance(*_: TP) -> None:
        app.rebalancing_count += 1
        if assigned:
            await consumer.on_partitions_assigned({PARTITION}, 1)

    consumer._thread = SimpleNamespace(
        assignment=Mock(return_value={PARTITION}),
        seek_to_committed=AsyncMock(return_value={PARTITION: None}),
        seek_to_beginning=begin_rebalance,
    )
    with pytest.raises(RebalanceAgain):
        await consumer.perform_seek()
    await consumer.on_partitions_assigned({PARTITION}, 1)
    consumer._thread.seek_to_beginning = AsyncMock()
    await consumer.perform_seek()
