"""Components that the agents of one worker share, and what each role adds to a worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from abuse.flags.flag_events import PolicyName
from abuse.redis_port import RedisClient
from abuse.rules.engine import AbuseEngine
from abuse.store_time import RedisTime, StoreTime
from config.settings import Settings
from stream.bootstrap.abuse import face_keys, hasher, open_ledger
from stream.bootstrap.authentication import open_macs
from stream.bootstrap.sessions import SessionParts, open_session_keys, open_session_store
from stream.events.authentication.record_mac import RecordMacs
from stream.events.topics import Topic, topic_name
from stream.events.wire.dead_letter import DeadLetters
from stream.events.wire.event_times import EventTimes
from stream.kafka.agents.agents import AgentSpec, Stage
from stream.kafka.agents.publishing import Publisher
from stream.kafka.clients.security import why_refused
from stream.kafka.consumer.app import BrokerWatch, ConfirmedSender, LivenessApp, make_app
from stream.kafka.worker.worker import BackgroundTask, Check
from stream.pipeline.decision_store import DecisionStore
from stream.redis.client import connect
from stream.redis.decision_store import RedisDecisionStore
from stream.redis.marker import MarkerGuard, marker_keys
from stream.runtime.clock import SystemClock
from stream.runtime.patience import RetryPolicy


class SharedComponents:
    """Components that several agents of one worker use; nothing is connected yet."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.policy = settings, settings.policy()
        self.clock, self.patience = SystemClock(), RetryPolicy()
        self.app = make_app(settings)
        self.macs = open_macs(settings, self.clock)
        self.publisher = open_publisher(self.app, settings, self.patience, self.macs)
        self.dead_letters = open_dead_letters(settings)
        self.topics = {topic: topic_name(topic, settings.kafka) for topic in Topic}
        self.guard = MarkerGuard(marker_keys(settings.redis_prefix, cluster=settings.redis.cluster))
        self.redis = connect(settings.redis, guard=self.guard)
        self.time = RedisTime(self.redis)
        self.times = EventTimes(self.time, self.patience)
        self.store = open_store(settings, self.redis, self.time)
        self.ledger = open_ledger(settings, self.policy, self.redis)
        self.faces = face_keys(settings, self.policy)
        self.engine = AbuseEngine(self.policy.abuse, PolicyName(name=self.policy.name, sha256=self.policy.sha256))
        self.sessions = SessionParts(
            settings=settings,
            policy=self.policy,
            store=open_session_store(settings, self.redis),
            keys=open_session_keys(settings),
            hasher=hasher(settings, self.policy),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePart:
    """Share of a role in a worker: the agent, and what comes before its first record and runs beside it."""

    agent: AgentSpec
    checks: Sequence[Check] = ()
    background_tasks: Sequence[BackgroundTask] = ()


def agent_spec(shared: SharedComponents, name: str, topic: Topic, stage: Stage, limit: int) -> AgentSpec:
    """Agent of one role on one topic; `limit` records at once."""
    return AgentSpec(name=name, topic=shared.topics[topic], stage=stage, dead_letters=shared.dead_letters, limit=limit)


def open_publisher(app: LivenessApp, settings: Settings, patience: RetryPolicy, macs: RecordMacs) -> Publisher:
    """Publisher of a worker, which sends once the app runs."""
    sender = ConfirmedSender(app, settings.delivery.send_timeout_s)
    return Publisher(sender, patience, settings.delivery.output_patience_s, macs)


def open_dead_letters(settings: Settings) -> DeadLetters:
    """Maker of dead letters for the installation's topic."""
    topic = topic_name(Topic.DEAD_LETTER, settings.kafka)
    return DeadLetters(topic=topic, max_bytes=settings.kafka.max_event_bytes)


def broker_watch(app: LivenessApp, patience: RetryPolicy, settings: Settings) -> BrokerWatch:
    """Watch over the broker, with the words for its refusals."""
    return BrokerWatch(app, patience, settings.delivery, partial(why_refused, settings.kafka))


def open_store(settings: Settings, calls: RedisClient | None = None, time: StoreTime | None = None) -> DecisionStore:
    """Decision store of an installation; nothing is sent before the first call."""
    calls = calls or connect(settings.redis)
    return RedisDecisionStore(calls, settings.redis_prefix, settings.redis.decision_ttl_s, time)
