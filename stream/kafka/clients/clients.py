"""Plain Kafka clients: produce a submission, read a topic, look at a cluster.

For commands and measurements; workers speak through Faust. No client here joins a consumer group.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from config.errors import Unavailable
from config.groups.services import KafkaSettings
from stream.events.message.messages import Output, Record
from stream.events.topics import max_request_bytes
from stream.kafka.clients.record_reading import read_everything
from stream.kafka.clients.records import record_of
from stream.kafka.clients.security import AUTHORIZATION, KafkaRefuses, client_security, lacking, why_refused

CONNECT_TIMEOUT_S = 10.0
REQUEST_TIMEOUT_MS = 10_000
#: Of one partition in one answer; a larger record comes alone. Packed records grow tenfold when they are read, and a
#: topic may have many partitions.
FETCH_BYTES = 1024 * 1024
#: Records unpacked at once.
READ_AT_ONCE = 500
#: aiokafka waits without end for the confirmation of a record whose broker is gone, and for that when it is closed.
SEND_TIMEOUT_S, CLOSE_TIMEOUT_S = 30.0, 5.0


class KafkaUnreachable(Unavailable):
    """Failed connection: no broker answered; the words name the addresses that were tried."""

    def __init__(self, words: str) -> None:
        super().__init__("kafka", words)

    def __str__(self) -> str:
        return self.fault


class TopicMissing(Exception):
    """Missing topic; the message names the command that makes the topic."""


@asynccontextmanager
async def producer(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    client = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers,
        max_request_size=max_request_bytes(kafka),
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        acks="all",
        enable_idempotence=not kafka.embedded,
        **client_security(kafka),
    )
    async with _connected(client, client.stop, kafka):
        yield client


@asynccontextmanager
async def admin(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(
        bootstrap_servers=kafka.bootstrap_servers, request_timeout_ms=REQUEST_TIMEOUT_MS, **client_security(kafka)
    )
    async with _connected(client, client.close, kafka):
        yield client


async def send(client: AIOKafkaProducer, output: Output) -> None:
    """Send one record and wait for the broker's confirmation. Raises KafkaUnreachable where none comes: the record may
    be written or not, and can be sent again."""
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await client.send_and_wait(output.topic, key=output.key, value=output.value, headers=list(output.headers))
    except TimeoutError as error:
        words = f"no Kafka broker confirmed the record within {SEND_TIMEOUT_S:g} s; it may be written or not"
        raise KafkaUnreachable(f"{output.topic}: {words}") from error


class TopicReader:
    """Reader of whole topics without a group: every partition, from the start or from now. `knows_times`: the broker
    finds records by their time, which the embedded one doesn't."""

    def __init__(self, client: AIOKafkaConsumer, *, knows_times: bool = True) -> None:
        self._client, self._knows_times = client, knows_times

    async def records(self) -> AsyncIterator[Record]:
        """Records as they come, for ever."""
        async for message in self._client:
            yield record_of(message, timestamp_ms=message.timestamp)

    async def until_end(self, since_ms: int | None = None) -> AsyncIterator[Record]:
        """Records that are in the topics now, then stop; with `since_ms` those from the first on that is dated so late,
        by the broker or else the sender, and others where the broker doesn't know."""
        ends = await self._client.end_offsets(self._client.assignment())
        if since_ms is not None and self._knows_times:
            found = await self._client.offsets_for_times(dict.fromkeys(ends, since_ms))
            for partition, end in ends.items():
                first = found.get(partition)
                self._client.seek(partition, end if first is None else first.offset)
        pending = {tp for tp in ends if ends[tp] > await self._client.position(tp)}
        while pending:
            batch = await self._client.getmany(timeout_ms=1000, max_records=READ_AT_ONCE)
            for messages in batch.values():
                for message in messages:
                    yield record_of(message, timestamp_ms=message.timestamp)
            pending = {tp for tp in pending if ends[tp] > await self._client.position(tp)}


@asynccontextmanager
async def reader(kafka: KafkaSettings, *topics: str, from_start: bool) -> AsyncIterator[TopicReader]:
    """Positioned reader: sees every record that is published after this call."""
    async with whole_topics_consumer(kafka, *topics) as client:
        partitions = sorted(client.assignment())
        await (client.seek_to_beginning if from_start else client.seek_to_end)(*partitions)
        for partition in partitions:
            await client.position(partition)
        yield TopicReader(client, knows_times=not kafka.embedded)


@asynccontextmanager
async def whole_topics_consumer(kafka: KafkaSettings, *topics: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer with every partition of the topics; raises TopicMissing or KafkaUnreachable."""
    await require_topics(topics, kafka)
    client = _consumer(kafka, *topics)
    async with _connected(client, client.stop, kafka):
        yield client


def _consumer(kafka: KafkaSettings, *topics: str) -> AIOKafkaConsumer:
    read_everything()
    return AIOKafkaConsumer(
        *topics,
        bootstrap_servers=kafka.bootstrap_servers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=kafka.fetch_max_wait_ms,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        isolation_level="read_committed",
        **client_security(kafka),
    )


async def has_records(kafka: KafkaSettings, topic: str) -> bool:
    """Whether anything was ever written to the topic, be it deleted since. Raises KafkaUnreachable, Unavailable."""
    try:
        async with whole_topics_consumer(kafka, topic) as client:
            return any((await client.end_offsets(client.assignment())).values())
    except TopicMissing:
        return False
    except KafkaError as error:
        raise Unavailable("kafka", type(error).__name__) from error


async def require_topics(topics: tuple[str, ...], kafka: KafkaSettings) -> None:
    """Raise TopicMissing for a missing topic: waiting for its records would look like an unreachable broker.

    The embedded broker makes topics itself.
    """
    if kafka.embedded:
        return
    client = _consumer(kafka)
    async with _connected(client, client.stop, kafka):
        missing = set(topics) - await client.topics()
    if missing:
        hidden = "" if kafka.security_protocol == "PLAINTEXT" else ", or hidden from this user (liveness topics acls)"
        raise TopicMissing(f"{', '.join(sorted(missing))}: not there{hidden}; create with: liveness topics create")


@asynccontextmanager
async def _connected(client: Any, close: Callable[[], Awaitable[None]], kafka: KafkaSettings) -> AsyncIterator[None]:
    """Client started, and closed at the end, also after a failed start. Raises KafkaUnreachable, and
    KafkaRefuses for a login that no waiting mends."""
    try:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await client.start()
        except AUTHORIZATION as error:
            raise KafkaRefuses(lacking(error)) from error
        except (KafkaError, TimeoutError, OSError) as error:
            why = await why_refused(kafka) or type(error).__name__
            words = f"no Kafka broker answers at {kafka.bootstrap_servers} ({why})"
            raise KafkaUnreachable(words) from error
        try:
            yield
        except AUTHORIZATION as error:
            raise KafkaRefuses(lacking(error)) from error
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await close()
