"""Read, deliver, commit: several deliveries at once, and no offset committed before all that precede it.

A flag that is refused for a while holds up the commits of its partition but not the flags behind it. So flags may
arrive out of order: receivers go by the times in them. After a crash everything not committed is posted again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import structlog

from config.errors import Unavailable
from config.settings import DeliverySettings
from stream.events.dead_letter import dead_letter
from stream.events.messages import Output, Record
from stream.kafka.acks import InOrderAcks, Partition, Ticket
from stream.kafka.publishing import Publisher
from stream.notify.notice import NoNotice, Notice, notice_of
from stream.notify.webhook import Delivered, Outcome, Undeliverable
from stream.runtime import metrics
from stream.runtime.clock import Clock
from stream.runtime.health import HealthState
from stream.runtime.patience import RetryPolicy

T = TypeVar("T")
log = structlog.get_logger()

AGENT = "notify"
REASON = "WEBHOOK_FAILED"
#: Deliveries at once: enough for a slow receiver, few enough not to be an attack on one that is coming back.
AT_ONCE = 16
#: Delivered behind one that isn't, at most: what a crash would have posted again.
MOST_UNCOMMITTED = 4096
#: How long one look at the topic or at the deliveries may take, and so how soon a failure is noticed.
ROUND_S = 0.5
#: After so long without a record it is asked whether the broker is there at all.
LOOK_EVERY_S = 5.0
#: A stop lets attempts under way finish; what takes longer is posted again by the next process.
STOP_GRACE_S = 3.0


class Source(Protocol):
    """Where records come from; see `source.GroupSource`. What is awaited raises patience.Unavailable."""

    @property
    def assigned(self) -> int: ...

    @property
    def lag(self) -> int: ...

    async def read(self, most: int, wait_s: float) -> list[Record]: ...

    async def commit(self, positions: Mapping[Partition, int]) -> None: ...

    async def look(self) -> None: ...

    def forget(self) -> None: ...


class Deliverer(Protocol):
    async def deliver(self, notice: Notice) -> Outcome: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """Where and how flags are set aside."""

    topic: str
    max_bytes: int

    def of(self, record: Record, why: str) -> Output:
        return dead_letter(record, self.topic, reason=REASON, message=why, max_bytes=self.max_bytes)


@dataclass(slots=True, kw_only=True)
class _Place:
    """Which record, as `acks` wants it: the record itself isn't kept once it is delivered."""

    topic: str
    partition: int
    offset: int
    generation_id: int | None


@dataclass(frozen=True, slots=True)
class _Flag:
    message: _Place
    positions: dict[Partition, int] = field(repr=False)

    def ack(self) -> bool:
        self.positions[(self.message.topic, self.message.partition)] = self.message.offset + 1
        return True


class Notifier:
    """The life of one notifier, on one event loop. `run` ends by being cancelled, or by raising."""

    def __init__(
        self,
        *,
        webhook: Deliverer,
        publisher: Publisher,
        patience: RetryPolicy,
        dead_letters: DeadLetters,
        clock: Clock,
        delivery: DeliverySettings,
    ) -> None:
        self._webhook = webhook
        self._publisher = publisher
        self._patience = patience
        self._dead_letters = dead_letters
        self._clock = clock
        self._delivery = delivery
        self._generation = 0
        self._acks = InOrderAcks(lambda: self._generation)
        self._positions: dict[Partition, int] = {}
        self._deliveries: dict[asyncio.Task[None], Partition] = {}
        self._failure: BaseException | None = None
        self._committed_at = self._round_at = self._heard_at = clock.monotonic()
        self._source: Source | None = None

    async def run(self, source: Source) -> None:
        """Until cancelled. Raises OutOfPatience when Kafka stayed away, anything else is a bug."""
        self._source = source
        try:
            while True:
                await self._round(source)
        except asyncio.CancelledError:
            await self._finish(source)
            raise
        finally:
            await self._abandon()

    def state(self) -> HealthState:
        """For the health page. A receiver that is away is nobody's fault here: only the loop itself can be stuck."""
        waiting_for = self._patience.waiting_for
        return HealthState(
            assigned=self._source.assigned if self._source else 0,
            waiting_for=waiting_for,
            in_flight=len(self._deliveries),
            lag=self._source.lag if self._source else 0,
            stuck_s=0.0 if waiting_for else self._clock.monotonic() - self._round_at,
            stall_timeout_s=self._delivery.stall_timeout_s,
        )

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Before partitions go to another member: commit what is settled, drop what isn't; it is read again."""
        self._generation += 1
        if self._source is None:
            return
        self._drop([task for task, partition in self._deliveries.items() if partition in partitions])
        self._acks.revoke(partitions)
        await self._commit_if_possible(self._source)
        self._positions.clear()
        self._source.forget()

    async def _round(self, source: Source) -> None:
        self._round_at = self._clock.monotonic()
        if self._failure is not None:
            raise self._failure
        room = min(AT_ONCE - len(self._deliveries), MOST_UNCOMMITTED - self._acks.in_flight)
        if room > 0:
            await self._read(source, room)
        elif self._deliveries:
            await asyncio.wait(self._deliveries, timeout=ROUND_S, return_when=asyncio.FIRST_COMPLETED)
        if self._round_at - self._committed_at >= self._delivery.commit_interval_s:
            await self._insist(lambda: self._commit(source))
            self._committed_at = self._round_at

    async def _read(self, source: Source, most: int) -> None:
        """The client hands records over without a pause in between, so they belong to the assignment of now."""
        records = await self._insist(lambda: source.read(most, ROUND_S))
        for record in records:
            self._begin(record)
        if records:
            self._heard_at = self._round_at
        elif self._round_at - self._heard_at >= LOOK_EVERY_S:
            # An empty topic and a broker that is away look the same to a reader.
            await self._insist(source.look)
            self._heard_at = self._clock.monotonic()

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        return await self._patience.until_available(call, at_most_s=self._delivery.output_patience_s)

    def _begin(self, record: Record) -> None:
        metrics.RECORDS.labels(agent=AGENT).inc()
        place = _Place(
            topic=record.topic, partition=record.partition, offset=record.offset, generation_id=self._generation
        )
        ticket = self._acks.begin(_Flag(place, self._positions))
        task = asyncio.create_task(self._settle(record, ticket))
        self._deliveries[task] = ticket.partition
        metrics.IN_FLIGHT.labels(agent=AGENT).set(len(self._deliveries))
        task.add_done_callback(self._settled)

    def _settled(self, task: asyncio.Task[None]) -> None:
        if self._deliveries.pop(task, None) is None:
            return  # dropped
        metrics.IN_FLIGHT.labels(agent=AGENT).set(len(self._deliveries))
        if task.cancelled():  # by nobody here; left alone, it would hold up its partition for good
            self._failure = RuntimeError("a delivery was cancelled from within")
        elif task.exception() is not None:
            self._failure = self._failure or task.exception()

    def _drop(self, tasks: Collection[asyncio.Task[None]]) -> None:
        for task in tasks:
            del self._deliveries[task]
            task.cancel()
        metrics.IN_FLIGHT.labels(agent=AGENT).set(len(self._deliveries))

    async def _settle(self, record: Record, ticket: Ticket) -> None:
        """Deliver or set aside; only then is the record done."""
        try:
            outcome = await self._webhook.deliver(notice_of(record))
        except NoNotice as error:
            outcome = Undeliverable(why=str(error), attempts=0)
        if isinstance(outcome, Delivered):
            metrics.WEBHOOK_DELIVERIES.labels(outcome="delivered").inc()
        else:
            await self._set_aside(record, outcome)
        self._acks.finish(ticket)

    async def _set_aside(self, record: Record, outcome: Undeliverable) -> None:
        await self._publisher.publish([self._dead_letters.of(record, outcome.why)])
        metrics.WEBHOOK_DELIVERIES.labels(outcome="set_aside").inc()
        metrics.DEAD_LETTERS.labels(reason=REASON).inc()
        log.warning(
            "flag_set_aside",
            why=outcome.why,
            attempts=outcome.attempts,
            partition=record.partition,
            offset=record.offset,
        )

    async def _commit(self, source: Source) -> None:
        positions = dict(self._positions)
        if not positions:
            return
        await source.commit(positions)
        for partition, position in positions.items():
            if self._positions.get(partition) == position:
                del self._positions[partition]

    async def _commit_if_possible(self, source: Source) -> None:
        try:
            async with asyncio.timeout(STOP_GRACE_S):
                await self._commit(source)
        except (Unavailable, TimeoutError) as error:
            log.warning("not_committed", why=type(error).__name__)

    async def _finish(self, source: Source) -> None:
        """Asked to stop: let what is under way end, but not for long."""
        if self._deliveries:
            await asyncio.wait(self._deliveries, timeout=STOP_GRACE_S)
        await self._commit_if_possible(source)
        if self._failure is not None:
            raise self._failure
        log.info("notifier_stopped", abandoned=len(self._deliveries))

    async def _abandon(self) -> None:
        tasks = list(self._deliveries)
        self._drop(tasks)
        if tasks:
            await asyncio.wait(tasks)
