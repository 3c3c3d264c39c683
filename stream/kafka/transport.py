"""Faust's Kafka transport with the settings that Faust doesn't offer.

- the producer is idempotent, so that a retried send is not written twice;
- the fetch wait can be set (Faust fixes it at 1.5 s): the embedded broker answers only when the wait ends;
- a picture is read from the socket in one go: the client's own limit of 64 KiB stops and starts reading dozens
  of times, and saves nothing, since the whole answer is collected anyway;
- a record with an unreadable header name does not stop its partition (`record_reading`);
- the app is told of a revocation before Faust forgets what was acknowledged and not committed yet;
- Faust's own look for partitions that don't move is off: the look goes by the monitor that is switched
  off (`app`), and would complain of every backlog older than five minutes. The worker's watchdog looks instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiokafka.conn
import aiokafka.consumer.fetcher
from faust.transport.drivers import aiokafka as driver

from stream.kafka.record_reading import TolerantRecords

#: Bytes collected before the socket is left alone for a while; above any single fetch.
READER_LIMIT = 64 * 1024 * 1024


class _Producer(driver.Producer):
    def _settings_extra(self) -> Mapping[str, Any]:
        app: Any = self.app
        return {"enable_idempotence": not app.embedded_broker}


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Both are looked up when the consumer connects and fetches, later.
        aiokafka.conn.READER_LIMIT = READER_LIMIT
        aiokafka.consumer.fetcher.MemoryRecords = TolerantRecords
        app: Any = self.consumer.app
        wait_ms = app.fetch_max_wait_ms
        if wait_ms is not None:
            consumer._fetch_max_wait_ms = wait_ms  # aiokafka reads it when it starts, later
        return consumer


class _Consumer(driver.Consumer):
    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        app: Any = self.app
        await app.revoking({(tp.topic, tp.partition) for tp in revoked})
        await super().on_partitions_revoked(revoked)

    def verify_event_path(self, now: float, tp: Any) -> None:
        """No complaint: the worker's watchdog looks for partitions that don't move."""

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)


class Transport(driver.Transport):
    """Faust's aiokafka transport with our consumer and producer."""

    Consumer = _Consumer
    Producer = _Producer
