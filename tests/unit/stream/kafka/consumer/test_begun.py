"""Hand-over of a record without a task: the same ends as with one, whether the record waits, fails or is cut off."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mode.utils.locks import Event

from stream.kafka.consumer.begun import Begun, begin
from stream.kafka.consumer.transport import Transport, _CallQueue


class Stuck(Exception):
    """Failure of a hand-over."""


async def handed_over(room: asyncio.Event, said: list[str], fails: bool = False) -> str:
    try:
        while not room.is_set():
            await room.wait()
            await asyncio.sleep(0)
        if fails:
            raise Stuck
        said.append("handed over")
        return "done"
    finally:
        said.append("ended")


def consumer() -> Any:
    """Consumer without a broker, as far as waiting goes."""
    made = object.__new__(Transport.Consumer)
    made._stopped, made._crashed, made.suspend_flow = Event(), Event(), Event()
    made._loop = made.loop = asyncio.get_running_loop()
    return made


async def test_nothing_is_awaited_of_what_need_not_wait() -> None:
    room, said = asyncio.Event(), list[str]()
    room.set()
    assert begin(handed_over(room, said)) == "done"
    assert said == ["handed over", "ended"]


async def test_what_waits_goes_on_from_there() -> None:
    room, said = asyncio.Event(), list[str]()
    begun = begin(handed_over(room, said))
    assert isinstance(begun, Begun)
    assert said == []
    waiting = asyncio.ensure_future(begun)
    await asyncio.sleep(0)
    room.set()
    assert await waiting == "done"


async def test_cancelling_reaches_the_coroutine() -> None:
    said = list[str]()
    waiting = asyncio.ensure_future(begin(handed_over(asyncio.Event(), said)))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert said == ["ended"]


async def test_a_record_that_finds_room_makes_no_task() -> None:
    room, said, worker = asyncio.Event(), list[str](), consumer()
    room.set()
    before = asyncio.all_tasks()
    waits = handed_over(room, said), worker.suspend_flow.wait()
    found = worker.wait_first(*waits).__await__()
    with pytest.raises(StopIteration) as end:
        next(found)
    assert end.value.value.results == ["done"]
    assert asyncio.all_tasks() == before


async def test_a_record_without_room_waits_until_there_is_some() -> None:
    room, said, worker = asyncio.Event(), list[str](), consumer()
    asyncio.get_running_loop().call_later(0.01, room.set)
    found = await worker.wait_first(handed_over(room, said), worker.suspend_flow.wait())
    assert found.results == ["done"]


async def test_a_suspended_flow_cuts_the_hand_over_off() -> None:
    said, worker = list[str](), consumer()
    asyncio.get_running_loop().call_later(0.01, worker.suspend_flow.set)
    await worker.wait_first(handed_over(asyncio.Event(), said), worker.suspend_flow.wait())
    await asyncio.sleep(0)
    assert said == ["ended"]


async def test_a_failed_hand_over_is_told() -> None:
    room, worker = asyncio.Event(), consumer()
    room.set()
    with pytest.raises(Stuck):
        await worker.wait_first(handed_over(room, [], fails=True), worker.suspend_flow.wait())


async def test_calls_into_the_thread_make_no_task() -> None:
    queue, done = _CallQueue(num_workers=0), asyncio.get_running_loop().create_future()

    async def called() -> str:
        return "called"

    await queue.call(done, called)
    await asyncio.sleep(0)
    with pytest.raises(StopIteration) as end:
        next(queue.wait(queue._queue_ready).__await__())
    assert not end.value.value.stopped
    await queue._process_enqueued(queue._queue.get_nowait())
    assert await done == "called"
