"""The notifier as a process: put together, waited for, stopped. What `liveness notify` runs."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeVar

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver
from aiokafka.errors import KafkaError

from config.errors import SettingsError, Unavailable
from config.settings import Settings
from stream.events.messages import Output
from stream.events.topics import Topic, topic_name
from stream.kafka.clients import KafkaUnreachable, TopicMissing, group_consumer, producer, require_topics, send
from stream.kafka.publishing import Publisher
from stream.notify.loop import AT_ONCE, DeadLetters, Notifier
from stream.notify.signing import signing_key
from stream.notify.source import GroupSource
from stream.notify.targets import CheckedResolver, Target, TargetRefused, target_of
from stream.notify.webhook import Retries, Webhook, session_for
from stream.runtime import logs
from stream.runtime.clock import SystemClock
from stream.runtime.health import HealthServer
from stream.runtime.patience import DependencyTimeout, RetryPolicy

T = TypeVar("T")
log = structlog.get_logger()

EXIT_DONE, EXIT_BUG, EXIT_UNREACHABLE = 0, 1, 3
#: A stop takes a few seconds; a service that doesn't let go is left alone after this.
STOP_LIMIT_S = 10.0


def notifier_group(settings: Settings) -> str:
    """A group of its own: it neither takes partitions from workers nor waits for them."""
    return f"{settings.group_id}-notify"


def run(settings: Settings) -> None:
    """Blocks until SIGTERM or SIGINT. Raises SettingsError, KafkaUnreachable, TopicMissing or OutOfPatience."""
    target, key = target_of(settings.webhook), _key(settings)
    logs.configure(settings.log)
    asyncio.run(_until_stopped(settings, target, key))


def _key(settings: Settings) -> bytes:
    secret = settings.webhook.secret
    assert secret is not None, "target_of refuses its absence"
    try:
        return signing_key(secret.get_secret_value())
    except ValueError as error:
        raise SettingsError(f"webhook.secret: {error}") from None


async def _until_stopped(settings: Settings, target: Target, key: bytes) -> None:
    loop, work = asyncio.get_running_loop(), asyncio.create_task(_notify(settings, target, key))
    asked = asyncio.Event()

    def stop() -> None:
        asked.set()
        work.cancel()
        loop.call_later(STOP_LIMIT_S, _leave, EXIT_DONE)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await asyncio.wait({work})
    if not asked.is_set() or not work.cancelled():
        work.result()


async def _notify(settings: Settings, target: Target, key: bytes) -> None:
    async with AsyncExitStack() as stack:
        try:
            await _serve(stack, settings, target, key)
        except (SettingsError, TopicMissing):
            raise
        except DependencyTimeout as error:
            log.critical("gave_up_waiting", why=str(error))
            _leave(EXIT_UNREACHABLE)
        except Exception as error:  # a bug: said and left at once, since closing a client may hide it
            log.critical("notifier_failed", exc_info=error)
            _leave(EXIT_BUG)


def _leave(code: int) -> None:
    """At once. Nothing is lost: what isn't committed is posted again."""
    log.warning("exit", code=code)
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


async def _serve(stack: AsyncExitStack, settings: Settings, target: Target, key: bytes) -> None:
    webhook, delivery, clock, patience = settings.webhook, settings.delivery, SystemClock(), RetryPolicy()
    # The client library's own lines, many a second while a broker is away; ours says what is being waited for.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    session = await stack.enter_async_context(session_for(target, timeout_s=webhook.timeout_s, at_once=AT_ONCE))
    resolver = CheckedResolver(aiohttp.ThreadedResolver(), allow_private=target.allow_private)
    await check_host(target, resolver, timeout_s=webhook.timeout_s)
    await _require_topics(settings, patience)
    sender = await _opened(stack, lambda: producer(settings.kafka), settings, patience)
    notifier = Notifier(
        webhook=Webhook(session, target, key, Retries(give_up_after_s=webhook.give_up_after_s), clock),
        publisher=Publisher(
            _ConfirmedSend(sender, delivery.send_timeout_s), patience, at_most_s=delivery.output_patience_s
        ),
        patience=patience,
        dead_letters=DeadLetters(
            topic=topic_name(Topic.DEAD_LETTER, settings.kafka), max_bytes=settings.kafka.max_event_bytes
        ),
        clock=clock,
        delivery=delivery,
    )
    group, topic = notifier_group(settings), topic_name(Topic.ABUSE_FLAGS, settings.kafka)
    consumer = await _opened(
        stack, lambda: group_consumer(settings, group, topic, notifier.revoked), settings, patience
    )
    health = HealthServer(settings.http, notifier.state)
    stack.push_async_callback(health.stop)
    await health.start()
    log.info("notifier_started", target=target.origin, group=group, private_allowed=target.allow_private)
    await notifier.run(GroupSource(consumer, delivery.send_timeout_s))


async def check_host(target: Target, resolver: AbstractResolver, *, timeout_s: float) -> None:
    """Refuse at once what every attempt would refuse; a name server that is away may come back.

    Raises SettingsError.
    """
    try:
        async with asyncio.timeout(timeout_s):
            await resolver.resolve(target.host, target.url.port or 0)
    except TargetRefused as error:
        raise SettingsError(f"webhook.url: {error}") from None
    except OSError as error:  # TimeoutError is one too
        log.warning("webhook_host_unknown", fault=type(error).__name__)


async def _require_topics(settings: Settings, patience: RetryPolicy) -> None:
    """Raises TopicMissing, also for the topic that is only written now and then."""
    topics = tuple(topic_name(topic, settings.kafka) for topic in (Topic.ABUSE_FLAGS, Topic.DEAD_LETTER))

    async def look() -> None:
        try:
            await require_topics(topics, settings.kafka)
        except KafkaUnreachable as error:
            raise Unavailable("kafka", str(error)) from error

    await patience.until_available(look, at_most_s=settings.delivery.startup_patience_s)


async def _opened(
    stack: AsyncExitStack,
    open_client: Callable[[], AbstractAsyncContextManager[T]],
    settings: Settings,
    patience: RetryPolicy,
) -> T:
    async def attempt() -> T:
        try:
            return await stack.enter_async_context(open_client())
        except KafkaUnreachable as error:
            raise Unavailable("kafka", str(error)) from error

    return await patience.until_available(attempt, at_most_s=settings.delivery.startup_patience_s)


class _ConfirmedSend:
    """Sends and waits for the broker's confirmation; see `publishing.Sender`."""

    def __init__(self, client: Any, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s

    async def __call__(self, output: Output) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await send(self._client, output)
        except (KafkaError, TimeoutError) as error:
            raise Unavailable("kafka", type(error).__name__) from error
