"""The Faust application: settings measured to survive rebalances, crashes and 10 MB events.

Made by `bootstrap`; nothing connects here until the worker starts it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import aiokafka
import faust
import structlog
from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials
from faust.exceptions import ProducerSendError
from faust.types.auth import CredentialsT
from mode import CrashingSupervisor
from yarl import URL

from config.errors import SettingsError, Unavailable
from config.groups.processing import DeliverySettings
from config.groups.services import KafkaSettings
from config.settings import Settings
from stream.events.message.messages import Output
from stream.events.topics import max_request_bytes
from stream.kafka.clients.security import KafkaRefuses, client_security
from stream.kafka.consumer.acks import Partition
from stream.kafka.consumer.assignment import EvenAssignor
from stream.kafka.consumer.transport import Transport
from stream.runtime.patience import RetryPolicy

log = structlog.get_logger()

#: Records read ahead of the agents; with 10 MB pictures every one of them counts.
STREAM_BUFFER = 4
#: Answers of the broker that no waiting and no other client changes.
REFUSED = (
    aiokafka.errors.TopicAuthorizationFailedError,
    aiokafka.errors.ClusterAuthorizationFailedError,
    aiokafka.errors.InvalidTopicError,
)
#: Answers after which a client can't send any more, and another can.
SHUT_OUT = (
    aiokafka.errors.OutOfOrderSequenceNumber,
    aiokafka.errors.ProducerFenced,
    aiokafka.errors.InvalidProducerEpoch,
    aiokafka.errors.UnknownProducerId,
    aiokafka.errors.ProducerClosed,
)
A_DAY_S = 24 * 3600.0
#: How often the broker is asked whether it is there, and how long it may take.
LOOK_EVERY_S, LOOK_WITHIN_S = 5.0, 5.0


class Lifecycle(Protocol):
    """Port of the worker, called by the app, each method in the order below; `revoking` once a rebalance."""

    async def start(self) -> None:
        """Called before the consumer joins its group; an exception ends the process."""

    async def revoking(self, partitions: Collection[Partition]) -> None:
        """Called before partitions go to another member, while acknowledgements can still be committed."""

    def rewound(self, partitions: Collection[Partition]) -> None:
        """Called when partitions are read again from an earlier offset: nothing read of them so far is acknowledged."""

    def refused(self, error: KafkaRefuses) -> NoReturn:
        """Called when the broker refuses to let the worker read on; ends the process."""

    async def stopping(self) -> None:
        """Called when a stop begins: no further record comes; returns once those in flight are done or dropped."""

    async def stop(self) -> None:
        """Called after the consumer has stopped."""


class LivenessApp(faust.App):
    """Faust app over our transport. `embedded_broker` switches off what the mock broker can't do; `lifecycle`, set
    before the app runs, is called with the app's own."""

    embedded_broker = False
    fetch_max_wait_ms = 500
    lifecycle: Lifecycle

    def on_init_dependencies(self) -> Iterable[Any]:
        """Services of the app, with a sensor that does nothing in place of Faust's monitor, which times every event for
        a page that is switched off."""
        services: Iterable[Any] = super().on_init_dependencies()
        self.sensors.remove(self.monitor)
        self.sensors.add(faust.Sensor())
        return services

    def _create_directories(self) -> None:
        """No folder is made: nothing is kept on the disk, and one name in a shared place would be anybody's to take."""

    async def on_first_start(self) -> None:
        await super().on_first_start()
        await self.lifecycle.start()

    async def revoking(self, partitions: Collection[Partition]) -> None:
        """Called by the consumer, before Faust forgets acknowledgements that are not committed."""
        self.flow_control.suspend()
        await self.lifecycle.revoking(partitions)

    async def on_stop(self) -> None:
        self.flow_control.suspend()
        await self.lifecycle.stopping()
        await super().on_stop()

    async def on_shutdown(self) -> None:
        await super().on_shutdown()
        await self.lifecycle.stop()

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
        broker_credentials=_credentials(kafka),
        store="memory://",
        web_enabled=False,
        key_serializer="raw",
        value_serializer="raw",
        topic_allow_declare=False,
        topic_disable_leader=True,
        processing_guarantee="at_least_once",
        agent_supervisor=CrashingSupervisor,
        PartitionAssignor=EvenAssignor,
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
        consumer_metadata_max_age_ms=round(kafka.metadata_max_age_s * 1000),
        producer_metadata_max_age_ms=round(kafka.metadata_max_age_s * 1000),
        consumer_max_fetch_size=max_request_bytes(kafka),
        producer_max_request_size=max_request_bytes(kafka),
        producer_request_timeout=30.0,
        producer_acks=-1,
    )
    app.embedded_broker = kafka.embedded
    app.fetch_max_wait_ms = kafka.fetch_max_wait_ms
    return app


def _credentials(kafka: KafkaSettings) -> CredentialsT | None:
    """Faust's form of the clients' security; None for connections without any."""
    given = client_security(kafka)
    context, provider = given.get("ssl_context"), given.get("sasl_oauth_token_provider")
    if provider is not None:
        return OAuthCredentials(oauth_cb=provider, ssl_context=context)
    if "sasl_mechanism" in given:
        return SASLCredentials(
            username=given["sasl_plain_username"],
            password=given["sasl_plain_password"],
            mechanism=given["sasl_mechanism"],
            ssl_context=context,
        )
    return None if context is None else SSLCredentials(context)


#: Called when the broker doesn't answer: why no connection comes about (`security.why_refused`).
WhyAway = Callable[[], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class BrokerWatch:
    """Background task that asks the broker for its topics now and again: to a reader, an empty topic and a broker that
    is away look the same, and a worker without records publishes nothing that would tell."""

    app: LivenessApp
    patience: RetryPolicy
    delivery: DeliverySettings
    why: WhyAway

    async def run(self) -> None:
        """Look until cancelled. Raises DependencyTimeout when the broker stays away, KafkaRefuses when the broker no
        longer takes the login."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.patience.until_available(self._look, at_most_s=self.delivery.output_patience_s)

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(LOOK_WITHIN_S):
                producer = await self.app.maybe_start_producer()
                if await producer._producer.client.force_metadata_update():
                    return
        except (aiokafka.errors.KafkaError, TimeoutError) as error:
            raise Unavailable("kafka", await self.why() or type(error).__name__) from error
        raise Unavailable("kafka", await self.why() or "no broker answers")


@dataclass(frozen=True, slots=True)
class ConfirmedSender:
    """Sender through the app's producer (port: `stream.kafka.agents.publishing.Sender`)."""

    app: LivenessApp
    timeout_s: float

    async def __call__(self, output: Output) -> None:
        producer: Any = await self.app.maybe_start_producer()
        client = producer._producer
        try:
            # Straight to the producer: Faust's topics would serialize and account for each record once more.
            async with asyncio.timeout(self.timeout_s):
                await (await producer.send(output.topic, output.key, output.value, None, None, list(output.headers)))
        except (ProducerSendError, aiokafka.errors.KafkaError, TimeoutError) as error:
            cause = error.__cause__ if isinstance(error, ProducerSendError) and error.__cause__ else error
            if isinstance(cause, aiokafka.errors.MessageSizeTooLargeError) and cause is not error:
                raise  # our own limit, not the topic's: no waiting makes the record smaller
            if isinstance(cause, REFUSED):
                raise SettingsError(f"kafka refuses to write {output.topic}: {type(cause).__name__}") from error
            if isinstance(cause, SHUT_OUT):
                log.warning("producer_replaced", error=type(cause).__name__)
                await producer.replace(client)
            late = f"{output.topic} not confirmed within {self.timeout_s:g} s; may the brokers write to their disks?"
            raise Unavailable("kafka", late if isinstance(cause, TimeoutError) else type(cause).__name__) from error
