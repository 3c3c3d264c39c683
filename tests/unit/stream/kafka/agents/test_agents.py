"""An agent's runner: what runs at once, in what order offsets are committed, and what a drop leaves behind."""

from __future__ import annotations

import asyncio

from stream.events.message.messages import Output
from stream.runtime.patience import DependencyTimeout
from tests.unit.stream.kafka.agent_scene import P0, PATIENCE_S, Scene
from tests.unit.stream.runtime.virtual_time import on_virtual_time

LETTER = Output(topic="letters", key=None, value=b"{}", headers=())


@on_virtual_time
async def test_acknowledged_in_order_by_partition() -> None:
    scene = Scene()
    await scene.put(range(5))
    await scene.put(range(3), partition=1)
    await scene.end(4, 1, 2)
    await scene.end(0, 1, 2, partition=1)
    assert scene.acked == {0: [], 1: [0, 1, 2]}
    await scene.end(0)
    assert scene.acked[0] == [0, 1, 2]
    await scene.end(3)
    assert scene.acked[0] == [0, 1, 2, 3, 4]


@on_virtual_time
async def test_limit_bounds_the_work() -> None:
    scene = Scene(limit=16)
    await scene.put(range(100))
    assert len(scene.working) == len(scene.runner.tasks) == 16
    await scene.end(*range(3, 10))
    assert len(scene.working) == 16, "the free places are taken"
    assert len(scene.begun) == 16 + 7
    assert scene.acked[0] == []


@on_virtual_time
async def test_unacknowledged_records_are_bounded() -> None:
    scene = Scene(most_unacknowledged=20)
    await scene.put(range(100))
    for _ in range(20):
        await scene.end(*(offset for _, offset in list(scene.working) if offset))
    assert len(scene.begun) == 20
    await scene.end(0)
    assert scene.acked[0] == list(range(20))
    assert len(scene.begun) > 20


@on_virtual_time
async def test_dropped_work_is_never_acknowledged() -> None:
    """Also of the record that waits for room, which never begins; another partition's goes on."""
    scene = Scene(limit=3)
    await scene.put(range(1), partition=1)
    await scene.put(range(4))
    await scene.end(1)
    assert scene.hand_over(P0) == 2
    await asyncio.sleep(1)
    assert scene.begun == [(1, 0), (0, 0), (0, 1), (0, 2)]
    assert list(scene.working) == [(1, 0)]
    assert (scene.acked[0], scene.acks.in_flight, scene.failures) == ([], 1, [])
    scene.generation += 1
    await scene.put(range(2))  # read again, and its room is free
    await scene.end(0, 1)
    assert scene.acked[0] == [0, 1]


@on_virtual_time
async def test_outputs_before_acknowledgement() -> None:
    scene = Scene(letters_away=True)
    await scene.put(range(2))
    await scene.end(1)
    await scene.end(0, outputs=[LETTER])
    assert scene.acked[0] == []
    scene.letters_away = False
    await asyncio.sleep(5)
    assert scene.acked[0] == [0, 1]


@on_virtual_time
async def test_output_out_of_reach_fails() -> None:
    scene = Scene(letters_away=True)
    await scene.put(range(1))
    await scene.end(0, outputs=[LETTER])
    await asyncio.sleep(PATIENCE_S + 10)
    (failure,) = scene.failures
    assert isinstance(failure, DependencyTimeout)
    assert scene.acked[0] == []


@on_virtual_time
async def test_work_cancelled_from_within_fails() -> None:
    scene = Scene()
    await scene.put(range(2))
    scene.working[(0, 0)].cancel()
    await asyncio.sleep(1)
    (failure,) = scene.failures
    assert isinstance(failure, RuntimeError)
    assert scene.acked[0] == []
