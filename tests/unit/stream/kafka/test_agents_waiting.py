"""Records that wait for a turn: how many begin, and how long their bytes are held."""

from __future__ import annotations

from tests.unit.stream.kafka.agent_scene import Scene
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
async def test_done_record_holds_no_picture() -> None:
    """A record that is done behind one that isn't waits for its acknowledgement without its bytes."""
    scene = Scene()
    events = await scene.put(range(3))
    await scene.end(1, 2)
    assert scene.acked[0] == []
    assert [event.message.value for event in events] == [b"v", None, None]
    await scene.end(0)
    assert scene.acked[0] == [0, 1, 2]
