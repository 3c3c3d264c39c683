"""Faust's Kafka transport with the settings that Faust doesn't offer.

- the producer is idempotent, so that a retried send is not written twice; one that the broker has shut out for good
  is replaced;
- only committed records are read, so that an aborted transaction is not carried out;
- partitions of which nothing was committed yet are read from their first record again after a rebalance;
- a rebalance that begins during the seek of the one before does not find partitions being read;
- offsets that the log doesn't hold are noticed (`positions`);
- the fetch wait can be set (Faust fixes it at 1.5 s): the embedded broker answers only when the wait ends;
- a picture is read from the socket in one go: the client's own limit of 64 KiB stops and starts reading dozens
  of times, and saves nothing, since the whole answer is collected anyway;
- a record with an unreadable header name does not stop its partition, nor a batch of very many records the others
  (`record_reading`);
- the app is told of a revocation before Faust forgets what was acknowledged and not committed yet;
- a record that finds room in its agent's queue is handed over at once: Faust makes four tasks for each record and
  cancels three of them, in case the record has to wait;
- Faust's own look for partitions that don't move is off: the look goes by the monitor that is switched
  off (`app`), and would complain of every backlog older than five minutes. The worker's watchdog looks instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Any

import aiokafka.conn
import structlog
from aiokafka.errors import KafkaError
from faust.tables.recovery import RebalanceAgain
from faust.transport.drivers import aiokafka as driver
from mode.services import WaitResult, WaitResults
from mode.threads import MethodQueue

from stream.kafka.clients.record_reading import read_everything
from stream.kafka.clients.security import AUTHORIZATION, KafkaRefuses, lacking
from stream.kafka.consumer.begun import Begun, begin
from stream.kafka.consumer.positions import ReadPositions, by_name, say_beyond_end

log = structlog.get_logger()

#: Bytes collected before the socket is left alone for a while; above any single fetch.
READER_LIMIT = 64 * 1024 * 1024
SETTLE_EVERY_S = 5.0


class _Producer(driver.Producer):
    def _settings_extra(self) -> Mapping[str, Any]:
        app: Any = self.app
        return {"enable_idempotence": not app.embedded_broker}

    _producer: Any

    async def replace(self, failed: Any) -> None:
        """Put a new client in place of one that can't send any more; a client that was replaced already stays gone."""
        if self._producer is not failed:
            return
        client: Any = self._new_producer()
        await client.start()
        self._producer = client
        await failed.stop()


class _CallQueue(MethodQueue):
    """Queue of calls into the consumer's thread."""

    async def wait(self, *waits: Any, timeout: Any = None) -> Any:  # noqa: ASYNC109  # mode's own
        """Faust's wait for the first call. The event stays set from then on, and three tasks would ask it each time."""
        if waits == (self._queue_ready,) and self._queue_ready.is_set():
            return WaitResult(None, False)
        return await super().wait(*waits, timeout=timeout)


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    @property
    def method_queue(self) -> MethodQueue:
        if self._method_queue is None:
            self._method_queue = _CallQueue(loop=self.thread_loop, beacon=self.beacon)
        return self._method_queue

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # These are looked up when the consumer connects and fetches, later.
        aiokafka.conn.READER_LIMIT = READER_LIMIT
        read_everything()
        consumer._isolation_level = "read_committed"  # read when the consumer starts, later
        app: Any = self.consumer.app
        consumer._fetch_max_wait_ms = app.fetch_max_wait_ms  # read when the consumer starts, too
        return consumer


class _Consumer(driver.Consumer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._positions = ReadPositions()
        self._settled_at = 0.0
        #: Number of the rebalance that the assignment is of.
        self._assigned_in = 0

    async def perform_seek(self) -> None:
        """Seek to the committed offsets. Raises RebalanceAgain when another rebalance has begun: Faust waits for the
        seek of the new assignment then, and would read partitions in the middle of the rebalance otherwise. So does a
        rebalance that has come as far as its assignment, of which Faust is told last."""
        app: Any = self.app
        sought_in = self._assigned_in
        await self._seek_to_committed_or_first()
        if not sought_in == self._assigned_in == app.rebalancing_count:
            raise RebalanceAgain("another rebalance has begun")

    async def _seek_to_committed_or_first(self) -> None:
        await super().perform_seek()
        # Left where they are by Faust: behind records that it fetched during a rebalance and threw away.
        never_committed = [tp for tp in self.assignment() if self._committed_offset[tp] is None]
        if never_committed:
            await self._thread.seek_to_beginning(*map(driver.ensure_aiokafka_TP, never_committed))
        self._positions.begin(by_name({tp: self._read_offset[tp] for tp in self.assignment()}))
        app: Any = self.app
        if app.embedded_broker:  # which keeps every record
            return
        tps = [tp for tp in self.assignment() if self._read_offset[tp] is not None]
        if not tps:
            return
        try:
            begins, ends = await self.earliest_offsets(*tps), await self.highwaters(*tps)
        except (KafkaError, TimeoutError) as error:
            log.warning("positions_not_checked", error=type(error).__name__)
            return
        misplaced = self._positions.misplaced(by_name(begins), by_name(ends))
        for tp in [tp for tp in tps if (tp.topic, tp.partition) in misplaced]:
            await self.seek(tp, begins[tp])
            self._rewind(tp, begins[tp])

    async def wait_first(self, *waits: Any, timeout: Any = None) -> Any:  # noqa: ASYNC109  # mode's own
        """Faust's wait for a record's hand-over (the first of two) or a suspended flow: none where there is room."""
        if len(waits) == 2:
            handing_over, suspended = waits
            try:
                begun = begin(handing_over)
            except BaseException:
                suspended.close()
                raise
            if not isinstance(begun, Begun):
                suspended.close()
                return WaitResults([handing_over], [begun], False)
            waits = begun, suspended
        return await super().wait_first(*waits, timeout=timeout)

    async def sleep(self, n: Any) -> None:
        """Faust's sleep, which a stop ends; that of no time, once for each fetch, is a turn of the loop only."""
        await (super().sleep(n) if n else asyncio.sleep(0))

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:  # noqa: ASYNC109  # Faust's own
        try:
            records = await super()._getmany(active_partitions, timeout)
        except AUTHORIZATION as error:
            app: Any = self.app
            app.lifecycle.refused(KafkaRefuses(lacking(error)))
        for tp, read in records.items():
            offsets = [record.offset for record in read]
            if offsets and not self._positions.read((tp.topic, tp.partition), offsets):
                expected = self._read_offset[tp] or 0
                say_beyond_end((tp.topic, tp.partition), expected, self.highwater(tp), offsets[0])
                self._rewind(tp, offsets[0])
                self._positions.read((tp.topic, tp.partition), offsets)
        await self._settle()
        return records

    def _rewind(self, tp: Any, offset: int) -> None:
        """Read the partition from `offset` on, whatever was read and acknowledged of it."""
        app: Any = self.app
        app.lifecycle.rewound({(tp.topic, tp.partition)})
        self._positions.rewind((tp.topic, tp.partition), offset)
        for held in (self._acked, self._acked_index, self._gap, self._read_offset, self._committed_offset):
            held.pop(tp, None)

    async def _settle(self) -> None:
        """Ask now and then whether what wasn't seen had been deleted."""
        behind = self._positions.with_gaps
        now = monotonic()
        if behind and now - self._settled_at >= SETTLE_EVERY_S:
            self._settled_at = now
            tps = [tp for tp in self.assignment() if (tp.topic, tp.partition) in behind]
            self._positions.settle(by_name(await self.earliest_offsets(*tps)) if tps else {})

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        app: Any = self.app
        await app.revoking({(tp.topic, tp.partition) for tp in revoked})
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[Any], generation_id: int = 0) -> None:
        app: Any = self.app
        self._assigned_in = app.rebalancing_count
        await super().on_partitions_assigned(assigned, generation_id)

    def verify_event_path(self, now: float, tp: Any) -> None:
        """No complaint: the worker's watchdog looks for partitions that don't move."""

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)


class Transport(driver.Transport):
    """Faust's aiokafka transport with our consumer and producer."""

    Consumer = _Consumer
    Producer = _Producer
