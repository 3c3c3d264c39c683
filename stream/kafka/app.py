"""The Faust application: settings measured to survive rebalances, crashes and 10 MB events.

Made by `bootstrap`; nothing connects here until the worker starts it.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Protocol

import aiokafka
import faust
from faust.exceptions import ProducerSendError
from mode import CrashingSupervisor
from yarl import URL

from config.errors import Unavailable
from config.settings import DeliverySettings, Settings
from stream.events.messages import Output
from stream.events.topics import max_request_bytes
from stream.kafka.acks import Partition
from stream.kafka.transport import Transport
from stream.runtime.patience import RetryPolicy

#: Records read ahead of the agents; with 10 MB pictures every one of them counts.
STREAM_BUFFER = 4
A_DAY_S = 24 * 3600.0
#: How often the broker is asked whether it is there, and how long it may take.
LOOK_EVERY_S, LOOK_WITHIN_S = 5.0, 5.0


class Lifecycle(Protocol):
    """Port of the worker, called by the app, each method in the order below; `revoking` once a rebalance."""

    async def start(self) -> None:
        """Called before the consumer joins its group; an exception ends the process."""

    async def revoking(self, partitions: Collection[Partition]) -> None:
        """Called before partitions go to another member, while acknowledgements can still be committed."""

    async def stopping(self) -> None:
        """Called when a stop begins: no further record comes; returns once those in flight are done or dropped."""

    async def stop(self) -> None:
        """Called after the consumer has stopped."""


class LivenessApp(faust.App):
    """Faust app over our transport. `embedded_broker` switches off what the mock broker can't do."""

    embedded_broker = False
    fetch_max_wait_ms: int | None = None
    _attached: Lifecycle | None = None

    def attach(self, lifecycle: Lifecycle) -> None:
        """Have a lifecycle called with the app's own: started before the first record, stopped after the last."""
        self._attached = lifecycle

    def on_init_dependencies(self) -> Iterable[Any]:
        """Services of the app, with a sensor that does nothing in place of Faust's monitor, which times every event for
        a page that is switched off."""
        services: Iterable[Any] = super().on_init_dependencies()
        self.sensors.remove(self.monitor)
        self.sensors.add(faust.Sensor())
        return services

    async def on_first_start(self) -> None:
        await super().on_first_start()
        if self._attached is not None:
            await self._attached.start()

    async def revoking(self, partitions: Collection[Partition]) -> None:
        """Called by the consumer, before Faust forgets acknowledgements that are not committed."""
        self.flow_control.suspend()
        if self._attached is not None:
            await self._attached.revoking(partitions)

    async def on_stop(self) -> None:
        self.flow_control.suspend()
        if self._attached is not None:
            await self._attached.stopping()
        await super().on_stop()

    async def on_shutdown(self) -> None:
        await super().on_shutdown()
        if self._attached is not None:
            await self._attached.stop()

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Transport:
        return Transport(self.conf.broker_producer, self)


def make_app(settings: Settings, *, group: str | None = None) -> LivenessApp:
    """App of one consumer group, `settings.group_id` if None. The lifecycle ends or drops the records in flight before
    partitions go, and Faust waits for none."""
    kafka, delivery = settings.kafka, settings.delivery
    app = LivenessApp(
        group or settings.group_id,
        broker=[URL(f"aiokafka://{server}") for server in kafka.bootstrap_servers.split(",")],
        broker_client_id="liveness-stream",
        datadir=Path(tempfile.gettempdir()) / "liveness-stream",
        store="memory://",
        web_enabled=False,
        key_serializer="raw",
        value_serializer="raw",
        topic_allow_declare=False,
        topic_disable_leader=True,
        processing_guarantee="at_least_once",
        agent_supervisor=CrashingSupervisor,
        stream_wait_empty=False,
        stream_publish_on_commit=False,
        stream_buffer_maxsize=STREAM_BUFFER,
        broker_commit_interval=delivery.commit_interval_s,
        broker_commit_every=100,
        broker_session_timeout=delivery.session_timeout_s,
        broker_heartbeat_interval=delivery.heartbeat_interval_s,
        broker_rebalance_timeout=delivery.rebalance_timeout_s,
        broker_request_timeout=delivery.request_timeout_s,
        # Not reading for a while is no fault while a dependency is away: the watchdog tells.
        broker_max_poll_interval=A_DAY_S,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=max_request_bytes(kafka),
        producer_max_request_size=max_request_bytes(kafka),
        producer_request_timeout=30.0,
        producer_acks=-1,
    )
    app.embedded_broker = kafka.embedded
    app.fetch_max_wait_ms = kafka.fetch_max_wait_ms
    return app


class BrokerWatch:
    """Background task that asks the broker for its topics now and again: to a reader, an empty topic and a broker that
    is away look the same, and a worker without records publishes nothing that would tell."""

    def __init__(self, app: LivenessApp, patience: RetryPolicy, delivery: DeliverySettings) -> None:
        self._app = app
        self._patience = patience
        self._delivery = delivery

    async def run(self) -> None:
        """Look until cancelled. Raises DependencyTimeout when the broker stays away."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self._patience.until_available(self._look, at_most_s=self._delivery.output_patience_s)

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(LOOK_WITHIN_S):
                producer = await self._app.maybe_start_producer()
                if not await producer._producer.client.force_metadata_update():
                    raise Unavailable("kafka", "no broker answers")
        except (aiokafka.errors.KafkaError, TimeoutError) as error:
            raise Unavailable("kafka", type(error).__name__) from error


class ConfirmedSender:
    """Sender through the app's producer (port: `stream.kafka.publishing.Sender`)."""

    def __init__(self, app: LivenessApp, timeout_s: float) -> None:
        self._app = app
        self._timeout_s = timeout_s

    async def __call__(self, output: Output) -> None:
        try:
            await self._confirmed(output)
        except ProducerSendError as error:
            if isinstance(error.__cause__, aiokafka.errors.MessageSizeTooLargeError):
                raise  # our own limit: no waiting makes the record smaller
            raise Unavailable("kafka", type(error).__name__) from error
        except (aiokafka.errors.KafkaError, TimeoutError) as error:
            raise Unavailable("kafka", type(error).__name__) from error

    async def _confirmed(self, output: Output) -> None:
        """Send straight to the producer: Faust's topics would serialize and account for each record once more."""
        async with asyncio.timeout(self._timeout_s):
            producer = await self._app.maybe_start_producer()
            sent = await producer.send(output.topic, output.key, output.value, None, None, list(output.headers))
            await sent
