"""`liveness notify`: post abuse flags to the configured receiver; until told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from config import settings as configuration
from config.settings import Settings
from stream.bootstrap.authentication import say_what_is_believed
from stream.bootstrap.notifier import build_notifier
from stream.cli.service_checks import checked, say_weakened
from stream.events.topics import Topic, topic_name
from stream.kafka.clients.clients import require_topics
from stream.kafka.worker.run import run
from stream.notify.signing import configured_key
from stream.notify.targets import WebhookTarget, check_host, target_of
from stream.runtime import logs
from stream.runtime.patience import RetryPolicy


def command() -> None:
    """Post every abuse flag to webhook.url, signed. Ends with exit 2 unless webhook.url and webhook.secret are set."""
    settings = configuration.load()
    target = target_of(settings.webhook)
    key = configured_key(settings.webhook)
    logs.configure(settings.log)
    # Silences the client library's many lines while a broker is away; the retry policy says what is waited for.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    for number in (signal.SIGTERM, signal.SIGINT):  # until the worker has its own
        signal.signal(number, lambda *_: sys.exit(0))
    say_weakened(settings)
    say_what_is_believed(settings)
    asyncio.run(checked(_check_services(settings, target)))
    run(build_notifier(settings, target, key))


async def _check_services(settings: Settings, target: WebhookTarget) -> None:
    """Kafka and the webhook's host checked before the agent starts; waits a while for Kafka.

    Raises SettingsError, TopicMissing (also for the dead-letter topic) or DependencyTimeout.
    """
    await check_host(target, timeout_s=settings.webhook.timeout_s)
    topics = tuple(topic_name(topic, settings.kafka) for topic in (Topic.ABUSE_FLAGS, Topic.DEAD_LETTER))
    patience_s = settings.delivery.startup_patience_s
    await RetryPolicy().until_available(require_topics, topics, settings.kafka, at_most_s=patience_s)
