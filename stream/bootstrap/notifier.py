"""The notifier: a worker with one agent, which posts flags to a webhook."""

from __future__ import annotations

from functools import partial

from config.settings import Settings
from stream.bootstrap.authentication import open_macs
from stream.bootstrap.shared import broker_watch, open_dead_letters, open_publisher
from stream.events.authentication.forgeries import Forgeries
from stream.events.topics import Topic, topic_name
from stream.kafka.agents.agents import AgentSpec
from stream.kafka.agents.authentic import AuthenticStage
from stream.kafka.clients.access import notifier_group
from stream.kafka.consumer.app import make_app
from stream.kafka.worker.worker import Worker, WorkerComponents
from stream.notify.stage import DELIVERIES_AT_ONCE, MOST_UNACKNOWLEDGED, NotifyStage
from stream.notify.targets import WebhookTarget
from stream.notify.webhook import open_webhook
from stream.runtime.clock import SystemClock
from stream.runtime.patience import RetryPolicy


def build_notifier(settings: Settings, target: WebhookTarget, key: bytes) -> Worker:
    """A worker with one agent, which posts flags to the target, signed with the key."""
    clock, patience, letters = SystemClock(), RetryPolicy(), open_dead_letters(settings)
    app, macs = make_app(settings, group=notifier_group(settings)), open_macs(settings, clock)
    stage = NotifyStage(
        partial(open_webhook, target, key, settings.webhook, clock, at_once=DELIVERIES_AT_ONCE),
        dead_letters=letters,
    )
    agent = AgentSpec(
        name="notify",
        topic=topic_name(Topic.ABUSE_FLAGS, settings.kafka),
        stage=AuthenticStage(stage, macs, Forgeries(Topic.ABUSE_FLAGS, letters)),
        dead_letters=letters,
        limit=DELIVERIES_AT_ONCE,
        most_unacknowledged=MOST_UNACKNOWLEDGED,
    )
    return Worker(
        WorkerComponents(
            settings=settings,
            app=app,
            agents=[agent],
            publisher=open_publisher(app, settings, patience, macs),
            patience=patience,
            clock=clock,
            finishes_work=False,
            checks=[stage.open],
            background_tasks=[broker_watch(app, patience, settings).run],
            closings=[stage.close],
        )
    )
