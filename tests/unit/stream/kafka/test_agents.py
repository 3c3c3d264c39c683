"""An agent's runner: what runs at once, in what order offsets are committed, and what a drop leaves behind."""

from __future__ import annotations

import asyncio
from typing import Any

from stream.events.messages import Output
from stream.runtime.patience import DependencyTimeout
from tests.unit.stream.kafka.agent_scene import P0, PATIENCE_S, Scene
from tests.unit.stream.runtime.virtual_time import run

LETTER = Output(topic="letters", key=None, value=b"{}", headers=())


def in_scene(**made: Any) -> Any:
    """Decorator: run the scenario on virtual time."""

    def wrapped(scenario: Any) -> Any:
        def test() -> None:
            async def play() -> None:
                scene = Scene(**made)
                await scenario(scene)
                scene.runner.drop()
                scene._task.cancel()
                await asyncio.sleep(1)

            run(play())

        test.__name__, test.__doc__ = scenario.__name__, scenario.__doc__
        return test

    return wrapped


@in_scene()
async def test_acknowledged_in_order_by_partition(scene: Scene) -> None:
    scene.put(range(5))
    scene.put(range(3), partition=1)
    await asyncio.sleep(1)
    await scene.end(4, 1, 2)
    await scene.end(0, 1, 2, partition=1)
    assert scene.acked == {0: [], 1: [0, 1, 2]}
    await scene.end(0)
    assert scene.acked[0] == [0, 1, 2]
    await scene.end(3)
    assert scene.acked[0] == [0, 1, 2, 3, 4]


@in_scene(limit=16)
async def test_limit_bounds_the_work(scene: Scene) -> None:
    scene.put(range(100))
    await asyncio.sleep(1)
    assert len(scene.working) == len(scene.runner.tasks) == 16
    await scene.end(*range(3, 10))
    assert len(scene.working) == 16, "the free places are taken"
    assert len(scene.begun) == 16 + 7
    assert scene.acked[0] == []


@in_scene(most_unacknowledged=20)
async def test_unacknowledged_records_are_bounded(scene: Scene) -> None:
    scene.put(range(100))
    await asyncio.sleep(1)
    for _ in range(20):
        await scene.end(*(offset for _, offset in list(scene.working) if offset))
    assert len(scene.begun) == 20
    await scene.end(0)
    assert scene.acked[0] == list(range(20))
    assert len(scene.begun) > 20


@in_scene(limit=3)
async def test_dropped_work_is_never_acknowledged(scene: Scene) -> None:
    """Also of the record that waits for room; another partition's goes on."""
    scene.put(range(1), partition=1)
    scene.put(range(4))
    await asyncio.sleep(1)
    await scene.end(1)
    assert scene.hand_over(P0) == 2
    await asyncio.sleep(1)
    assert scene.begun == [(1, 0), (0, 0), (0, 1), (0, 2)]
    assert list(scene.working) == [(1, 0)]
    assert (scene.acked[0], scene.acks.in_flight, scene.failures) == ([], 1, [])
    scene.generation += 1
    scene.put(range(2))  # read again
    await asyncio.sleep(1)
    await scene.end(0, 1)
    assert scene.acked[0] == [0, 1]


@in_scene(limit=1)
async def test_lost_waiting_record_never_begins(scene: Scene) -> None:
    scene.put(range(2))
    await asyncio.sleep(1)
    scene.hand_over(P0)
    await asyncio.sleep(1)
    assert scene.begun == [(0, 0)]
    scene.put(range(1), partition=1)
    await asyncio.sleep(1)
    assert scene.begun == [(0, 0), (1, 0)], "its room is free again"


@in_scene(letters_away=True)
async def test_outputs_before_acknowledgement(scene: Scene) -> None:
    scene.put(range(2))
    await asyncio.sleep(1)
    await scene.end(1)
    await scene.end(0, outputs=[LETTER])
    assert scene.acked[0] == []
    scene.letters_away = False
    await asyncio.sleep(5)
    assert scene.acked[0] == [0, 1]


@in_scene(letters_away=True)
async def test_output_out_of_reach_fails(scene: Scene) -> None:
    scene.put(range(1))
    await asyncio.sleep(1)
    await scene.end(0, outputs=[LETTER])
    await asyncio.sleep(PATIENCE_S + 10)
    (failure,) = scene.failures
    assert isinstance(failure, DependencyTimeout)
    assert scene.acked[0] == []


def test_work_cancelled_from_within_fails() -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.put(range(2))
        await asyncio.sleep(1)
        scene.working[(0, 0)].cancel()
        await asyncio.sleep(1)
        (failure,) = scene.failures
        assert isinstance(failure, RuntimeError)
        assert scene.acked[0] == []
        scene._task.cancel()
        scene.runner.drop()
        await asyncio.sleep(0)

    run(scenario())
