"""The Faust agents: read, hand to a stage, publish, acknowledge in order.

Each agent runs once and never overlaps with itself in Faust's eyes; its events become tasks behind a bound, and
only the in-order tracker acknowledges. A stage that raises is asked once more; a record on which the stage raises
twice, or on which a worker and then its trials ended (`caution`, `trial`), is set aside as a dead letter and its sender
answered, so that no record can stop a partition or kill a fleet.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from config.errors import SettingsError
from stream.events.message.messages import Fault, Output, Record
from stream.events.wire.dead_letter import DeadLetters
from stream.kafka.agents.breaker import Breaker, BreakerOpen
from stream.kafka.agents.caution import Caution
from stream.kafka.agents.publishing import Publisher
from stream.kafka.clients.records import record_of
from stream.kafka.consumer.acks import InOrderAcks, Partition, Ticket
from stream.runtime import metrics
from stream.runtime.patience import DependencyTimeout

if TYPE_CHECKING:  # a trial works on records without Faust, which takes a second to import
    from stream.kafka.consumer.app import LivenessApp

log = structlog.get_logger()

#: Reason of the dead letter of a record on which its stage failed twice.
STAGE_FAILED = "STAGE_FAILED_TWICE"
#: Reason of the dead letter of a record on which a worker ended, and then the processes that tried the record.
STAGE_ENDED = "STAGE_ENDED_TWICE"
#: Unclean ends with a record alone in work, or on trial, after which the record is set aside untried: a worker and its
#: trial may end together, every time, where memory is short.
MOST_ENDS = 12
#: Exceptions that no other record and no repeat would escape.
ENDS_WORKER = (DependencyTimeout, SettingsError, BreakerOpen)
#: Faults of records set aside that nothing else says.
SAID = frozenset({Fault.DEAD_LETTER, Fault.POISON})
#: Before a stage is asked again.
PAUSE_S = 0.5
SAY_EVERY_S = 10.0
SHOWN_FRAMES = 4


class Stage(Protocol):
    """Port of a step of the path, called by an agent's runner, for many records at once."""

    async def handle(self, record: Record) -> Sequence[Output]:
        """Outputs that must be confirmed before the record is acknowledged.

        May wait for a dependency. Repeated after an exception, a crash or a rebalance, and must then have the same
        effect. DependencyTimeout and SettingsError end the worker without an acknowledgement.
        """

    async def answer(self, record: Record) -> Sequence[Output]:
        """Outputs that answer the sender of a record on which `handle` raised, or ended the process, twice; none if no
        sender can be named.

        May be repeated. The runner publishes the record's dead letter first, whatever this call does.
        """


class EndedOnRecord(Exception):
    """End of a trial process while it worked on a record."""


class Turns(Protocol):
    """Port of what makes records wait before their stage works on them."""

    @property
    def waiting(self) -> Collection[asyncio.Task[Any]]:
        """Tasks that wait."""

    def room(self, has_room: bool) -> None:
        """Called when no more records are let in to wait, or are again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpec:
    """Agent: the stage that handles a topic's records. `limit` bounds the records being worked on, and `waiting` how
    many more begin, as long as all have fewer than `waiting_bytes`, because their stage makes them wait for `turns`;
    `most_unacknowledged` also counts records that are done behind an unfinished one: what a crash would repeat."""

    name: str
    topic: str
    stage: Stage
    dead_letters: DeadLetters
    limit: int
    waiting: int = 0
    waiting_bytes: int = 0
    most_unacknowledged: int | None = None
    turns: Turns | None = None


class AgentRunner:
    """Runner of one agent over a Faust stream. `fail` is called with any exception and does not return."""

    def __init__(
        self,
        spec: AgentSpec,
        acks: InOrderAcks,
        publisher: Publisher,
        breaker: Breaker,
        on_finished: Callable[[], None],
        fail: Callable[[BaseException], None],
        caution: Caution | None = None,
        trial: Stage | None = None,
    ) -> None:
        self._spec = spec
        self._acks = acks
        self._publisher = publisher
        self._breaker = breaker
        self._on_finished = on_finished
        self._fail = fail
        self._caution, self._trial = caution, trial or spec.stage
        self._bound = asyncio.Semaphore(spec.limit + spec.waiting)
        self._bytes = 0
        self._tasks: dict[asyncio.Task[None], Partition] = {}
        self._one_ended = asyncio.Event()
        self._said_at, self._set_aside_count = -SAY_EVERY_S, 0
        self._records = metrics.RECORDS.labels(agent=spec.name)
        self._in_progress = metrics.IN_FLIGHT.labels(agent=spec.name)

    @property
    def tasks(self) -> Collection[asyncio.Task[None]]:
        """Tasks of records being worked on, without the done ones that wait for their acknowledgement."""
        return self._tasks.keys()

    def tasks_of(self, partitions: Collection[Partition]) -> list[asyncio.Task[None]]:
        return [task for task, partition in self._tasks.items() if partition in partitions]

    async def run(self, stream: AsyncIterator[Any]) -> None:
        """Start a task for every event, in order, as soon as there is room for it."""
        async for event in stream:
            ticket = self._acks.begin(event)
            await self._wait_for_room()
            if ticket.revoked:  # while it waited for room
                self._bound.release()
                continue
            task = asyncio.create_task(self._work(ticket, event))
            self._tasks[task] = ticket.partition
            size = len(event.message.value or b"")
            self._bytes += size
            task.add_done_callback(partial(self._finished, size))

    def drop_waiting(self, partitions: Collection[Partition]) -> None:
        """Cancel records of these partitions that wait for a turn: another worker gives them theirs sooner."""
        waiting = set(self._spec.turns.waiting) if self._spec.turns else set()
        self._cancel([task for task, partition in self._tasks.items() if partition in partitions and task in waiting])

    def drop(self, partitions: Collection[Partition] | None = None) -> int:
        """Cancel the work on records of these partitions (of all, if None) without an acknowledgement, when they go
        to another worker or this one ends. Returns how many tasks that were. May be repeated."""
        dropped = [task for task, partition in self._tasks.items() if partitions is None or partition in partitions]
        self._cancel(dropped)
        return len(dropped)

    def _cancel(self, tasks: Collection[asyncio.Task[None]]) -> None:
        for task in tasks:
            del self._tasks[task]
            task.cancel()

    async def _wait_for_room(self) -> None:
        if not self._bound.locked() and self._has_room():
            await self._bound.acquire()
            return
        if self._spec.turns:
            self._spec.turns.room(False)
        await self._bound.acquire()
        while not self._has_room():
            self._one_ended.clear()
            await self._one_ended.wait()
        if self._spec.turns:
            self._spec.turns.room(True)

    def _has_room(self) -> bool:
        spec = self._spec
        if spec.most_unacknowledged is not None and self._acks.in_flight_of(spec.topic) > spec.most_unacknowledged:
            return False
        return len(self._tasks) < spec.limit or self._bytes < spec.waiting_bytes

    async def _work(self, ticket: Ticket, event: Any) -> None:
        self._records.inc()
        record = _record(event)
        with self._in_progress.track_inprogress():
            async with self._caution.around(record) if self._caution else nullcontext(0) as deaths:
                if deaths < MOST_ENDS:
                    await self._handle(record, self._trial if deaths else self._spec.stage)
                else:
                    await self._give_up(record, deaths)
        _empty(event)
        self._acks.finish(ticket)
        self._on_finished()

    async def _give_up(self, record: Record, deaths: int) -> None:
        """Set aside a record on which worker after worker ended; without an answer, if one ended on that too."""
        log.error("stage_ended", agent=self._spec.name, **record.place, ends=deaths)
        stage = self._spec.stage if deaths == MOST_ENDS else None
        message = f"{deaths} workers ended while they had this record alone in work"
        await self._publish(await self._set_aside(record, stage, STAGE_ENDED, message))

    async def _handle(self, record: Record, stage: Stage) -> None:
        reason, message = STAGE_FAILED, f"the {self._spec.name} stage failed on the record twice"
        for again in (True, False):
            try:
                await self._publish(await stage.handle(record))
                return
            except ENDS_WORKER:
                raise
            except EndedOnRecord as error:
                reason, message = STAGE_ENDED, f"processes of the {self._spec.name} stage ended on the record"
                log.error("stage_ended", agent=self._spec.name, **record.place, how=str(error))
                break
            except Exception as error:
                say_failed("stage_failed", self._spec.name, record, error, again=again)
            if again:
                await asyncio.sleep(PAUSE_S)
        await self._publish(await self._set_aside(record, stage, reason, message))

    async def _set_aside(self, record: Record, stage: Stage | None, reason: str, message: str) -> list[Output]:
        letter = self._spec.dead_letters.letter(record, reason=reason, message=message)
        outputs = [replace(letter, fault=Fault.INTERNAL)]
        try:
            outputs += await stage.answer(record) if stage else []
        except ENDS_WORKER:
            raise
        except Exception as error:
            say_failed("not_answered", self._spec.name, record, error)
        return outputs

    async def _publish(self, outputs: Sequence[Output]) -> None:
        faults = {output.fault for output in outputs if output.fault is not None}
        self._breaker.note(faults)
        if not SAID.isdisjoint(faults):
            self._set_aside_count += 1
            self._say_set_aside()
        await self._publisher.publish(outputs)

    def _say_set_aside(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._said_at >= SAY_EVERY_S:
            log.warning("records_set_aside", agent=self._spec.name, records=self._set_aside_count)
            self._said_at, self._set_aside_count = now, 0

    def _finished(self, size: int, task: asyncio.Task[None]) -> None:
        self._bound.release()
        self._bytes -= size
        self._one_ended.set()
        if self._tasks.pop(task, None) is None:
            return  # dropped
        if task.cancelled():  # not by `drop`; the record would hold up its partition for good
            self._fail(RuntimeError("work on a record was cancelled from within"))
        elif (error := task.exception()) is not None:
            self._fail(error)


def say_failed(event: str, agent: str, record: Record, error: Exception, **more: object) -> None:
    """Log an exception of a stage by type and place: its words may quote the record."""
    frames = traceback.extract_tb(error.__traceback__)
    at = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-SHOWN_FRAMES:]]
    log.error(event, agent=agent, **record.place, error=type(error).__name__, **more, at=at)


def register(app: LivenessApp, runner: Callable[[], AgentRunner], spec: AgentSpec) -> None:
    """Make an agent of the app; the runner is built when the agent starts, on its loop."""

    async def agent(stream: Any) -> None:
        await runner().run(stream.noack().events())

    agent.__name__ = agent.__qualname__ = spec.name
    app.agent(app.topic(spec.topic), concurrency=1, name=spec.name)(agent)


def _empty(event: Any) -> None:
    """Drop what a record holds: a picture needs no room while its turn to be acknowledged comes."""
    for holder in (event, event.message):
        holder.key = holder.value = holder.headers = None


def _record(event: Any) -> Record:
    message = event.message
    # Faust turns the broker's whole milliseconds into float seconds.
    return record_of(message, timestamp_ms=round((message.timestamp or 0) * 1000))
