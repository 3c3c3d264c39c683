"""The Faust agents: read, hand to a stage, publish, acknowledge in order.

Each agent runs once and never overlaps with itself in Faust's eyes; its events become tasks behind a bound, and
only the in-order tracker acknowledges. A bug in a task ends the process: nothing is acknowledged by failing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from stream.events.messages import Output, Record
from stream.kafka.acks import InOrderAcks, Partition, Ticket
from stream.kafka.app import LivenessApp
from stream.kafka.publishing import Publisher
from stream.kafka.records import record_of
from stream.runtime import metrics


class Stage(Protocol):
    """Port of a step of the path, called by an agent's runner, for many records at once."""

    async def handle(self, record: Record) -> Sequence[Output]:
        """Outputs that must be confirmed before the record is acknowledged.

        May wait for a dependency. Repeated after a crash or a rebalance, and must then have the same effect. Any
        exception ends the worker without an acknowledgement.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpec:
    """Agent: the stage that handles a topic's records. `limit` bounds the records being worked on;
    `most_unacknowledged` also counts records that are done behind an unfinished one: what a crash would repeat."""

    name: str
    topic: str
    stage: Stage
    limit: int
    most_unacknowledged: int | None = None


class AgentRunner:
    """Runner of one agent over a Faust stream. `fail` is called with any exception and does not return."""

    def __init__(
        self,
        spec: AgentSpec,
        acks: InOrderAcks,
        publisher: Publisher,
        on_finished: Callable[[], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._spec = spec
        self._acks = acks
        self._publisher = publisher
        self._on_finished = on_finished
        self._fail = fail
        self._bound = asyncio.Semaphore(spec.limit)
        self._tasks: dict[asyncio.Task[None], Partition] = {}
        self._one_ended = asyncio.Event()
        self._records = metrics.RECORDS.labels(agent=spec.name)
        self._in_progress = metrics.IN_FLIGHT.labels(agent=spec.name)

    @property
    def tasks(self) -> Collection[asyncio.Task[None]]:
        """Tasks of records being worked on, without the done ones that wait for their acknowledgement."""
        return self._tasks.keys()

    async def run(self, stream: AsyncIterator[Any]) -> None:
        """Start a task for every event, in order, as soon as there is room for it."""
        async for event in stream:
            ticket = self._acks.begin(event)
            await self._wait_for_room()
            if ticket.revoked:  # while it waited for room
                self._bound.release()
                continue
            task = asyncio.create_task(self._work(ticket, _record(event)))
            self._tasks[task] = ticket.partition
            task.add_done_callback(self._finished)

    def drop(self, partitions: Collection[Partition] | None = None) -> int:
        """Cancel the work on records of these partitions (of all, if None) without an acknowledgement, when they go
        to another worker or this one ends. Returns how many tasks that were. May be repeated."""
        dropped = [task for task, partition in self._tasks.items() if partitions is None or partition in partitions]
        for task in dropped:
            del self._tasks[task]
            task.cancel()
        return len(dropped)

    async def _wait_for_room(self) -> None:
        await self._bound.acquire()
        most = self._spec.most_unacknowledged
        while most is not None and self._acks.in_flight > most:
            self._one_ended.clear()
            await self._one_ended.wait()

    async def _work(self, ticket: Ticket, record: Record) -> None:
        self._records.inc()
        with self._in_progress.track_inprogress():
            await self._publisher.publish(await self._spec.stage.handle(record))
        self._acks.finish(ticket)
        self._on_finished()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._bound.release()
        self._one_ended.set()
        if self._tasks.pop(task, None) is None:
            return  # dropped
        if task.cancelled():  # not by `drop`; the record would hold up its partition for good
            self._fail(RuntimeError("work on a record was cancelled from within"))
        elif (error := task.exception()) is not None:
            self._fail(error)


def register(app: LivenessApp, runner: Callable[[], AgentRunner], spec: AgentSpec) -> None:
    """Make an agent of the app; the runner is built when the agent starts, on its loop."""

    async def agent(stream: Any) -> None:
        await runner().run(stream.noack().events())

    agent.__name__ = agent.__qualname__ = spec.name
    app.agent(app.topic(spec.topic), concurrency=1, name=spec.name)(agent)


def _record(event: Any) -> Record:
    message = event.message
    # Faust turns the broker's whole milliseconds into float seconds.
    return record_of(message, timestamp_ms=round((message.timestamp or 0) * 1000))
