"""Records that wait for a turn: how many begin, and how long their bytes are held."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.unit.stream.kafka.agent_scene import P0, Event, Scene
from tests.unit.stream.runtime.virtual_time import on_virtual_time


@on_virtual_time
async def test_bytes_bound_what_waits() -> None:
    """`limit` begin whatever their size; others only while all have fewer bytes than may wait."""
    scene = Scene(limit=4, waiting=100, waiting_bytes=10)
    await scene.put(range(50))
    assert len(scene.begun) == 10, "records of one byte"
    await scene.end(5, 6)
    assert len(scene.begun) == 12
    few = Scene(limit=4, waiting=3, waiting_bytes=10)
    await few.put(range(50))
    assert len(few.begun) == 7
    none = Scene(limit=4, waiting=100)
    await none.put(range(50))
    assert len(none.begun) == 4


@on_virtual_time
async def test_done_record_holds_nothing() -> None:
    """A record that is done behind one that isn't waits for its acknowledgement without its bytes."""
    scene = Scene()
    events = await scene.put(range(3))
    await scene.end(1, 2)
    assert scene.acked[0] == []
    held = [(event.message.key, event.message.value, event.message.headers) for event in events]
    assert held == [(b"k", b"v", []), (None,) * 3, (None,) * 3]
    await scene.end(0)
    assert scene.acked[0] == [0, 1, 2]


class Waiting:
    """Turns for which every second record waits; `said` has what is told of the room."""

    def __init__(self) -> None:
        self.scene: Scene | None = None
        self.said: list[bool] = []

    @property
    def waiting(self) -> list[asyncio.Task[Any]]:
        return list(self.scene.runner.tasks)[1::2] if self.scene else []

    def room(self, has_room: bool) -> None:
        self.said.append(has_room)


@on_virtual_time
async def test_records_that_wait_are_dropped_at_a_stop() -> None:
    turns = Waiting()
    scene = turns.scene = Scene(turns=turns)
    await scene.put(range(4))
    await scene.put(range(1), partition=1)
    scene.runner.drop_waiting([P0])
    await asyncio.sleep(1)
    assert set(scene.working) == {(0, 0), (0, 2), (1, 0)}
    assert scene.failures == []


@on_virtual_time
async def test_room_is_told() -> None:
    turns = Waiting()
    scene = Scene(limit=2, turns=turns)
    await scene.put(range(2))
    assert turns.said == []
    await scene.put(range(2, 3))
    assert turns.said == [False]
    await scene.end(0)
    assert turns.said == [False, True]


@on_virtual_time
async def test_unacknowledged_records_of_others_do_not_count() -> None:
    scene = Scene(most_unacknowledged=2)
    for offset in range(9):
        scene.acks.begin(Event([], 0, offset, 1, topic="other"))
    await scene.put(range(4))
    assert len(scene.begun) == 2
    await scene.end(0)
    assert len(scene.begun) == 3
