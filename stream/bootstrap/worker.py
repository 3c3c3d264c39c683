"""The composition root: the one place where settings become connected parts."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

from abuse.flags.flag_events import PolicyName
from abuse.networks.networks import NetworkWatch, open_networks
from abuse.origins import OriginReader
from abuse.redis_port import RedisClient
from abuse.review.redis_audit import RedisAuditLog, RedisCommandLog
from abuse.review.reviews import FlagReviews
from abuse.review.rule_switches import RuleSwitches
from abuse.rules.engine import AbuseEngine
from abuse.rules.gate import Gate
from config.policy import Policy
from config.settings import Settings
from detectors.pool import AnalyserFactory, PoolSettings, SlotPool
from stream.bootstrap.abuse import (
    agree_on_secrets,
    face_keys,
    hasher,
    mark_keys,
    open_erasures,
    open_key_checks,
    open_ledger,
    open_links,
    open_reuse,
    say_what_is_compared,
)
from stream.bootstrap.models import model_versions, template_source
from stream.events.dead_letter import DeadLetters
from stream.events.topics import Topic, topic_name
from stream.kafka.agents import AgentSpec
from stream.kafka.app import BrokerWatch, ConfirmedSender, make_app
from stream.kafka.publishing import Publisher
from stream.kafka.worker import BackgroundTask, Check, Role, Worker, WorkerComponents
from stream.maintenance.sweeper import Sweeper
from stream.notify.stage import DELIVERIES_AT_ONCE, MOST_UNACKNOWLEDGED, NotifyStage
from stream.notify.targets import Target
from stream.notify.webhook import open_webhook
from stream.pipeline.abuse_stage import AbuseStage
from stream.pipeline.admission import Admission
from stream.pipeline.decide_stage import DecideStage
from stream.pipeline.decision_store import DecisionStore
from stream.pipeline.detect_stage import DetectStage
from stream.pipeline.event_builders import DecisionEvents, FlagEvents
from stream.pipeline.marking import ReferenceExtractor
from stream.redis.client import connect
from stream.redis.decision_store import RedisDecisionStore
from stream.review.command_stage import CommandStage
from stream.review.kinds.base import ReviewServices
from stream.runtime import metrics
from stream.runtime.clock import SystemClock
from stream.runtime.patience import RetryPolicy

ALL_ROLES = frozenset(Role)
#: Imported once and inherited by every slot; none of them starts a thread.
SLOT_PRELOAD = ("numpy", "cv2", "mediapipe", "detectors.analysis")
#: By name, since importing the function would load native code into the worker.
FACE_ANALYSER = "detectors.analysis:face_analyser"


def build_worker(
    settings: Settings,
    roles: Collection[Role] = ALL_ROLES,
    analyser: AnalyserFactory = FACE_ANALYSER,
) -> Worker:
    """A worker with these roles. `analyser` is replaced only by tests that need a picture to fail."""
    policy, clock, patience = settings.policy(), SystemClock(), RetryPolicy()
    app = make_app(settings)
    calls = connect(settings.redis)
    store, ledger = open_store(settings, calls), open_ledger(settings, policy, calls)
    faces = face_keys(settings, policy)
    engine = AbuseEngine(policy.abuse, PolicyName(name=policy.name, sha256=policy.sha256))
    pool = open_pool(settings, policy, analyser=analyser) if Role.DETECT in roles else None
    names = {topic: topic_name(topic, settings.kafka) for topic in Topic}
    common: dict[str, Any] = {
        "clock": clock,
        "policy": policy,
        "dead_letters": _dead_letters(settings),
    }
    agents, background_tasks = [], list[BackgroundTask]()
    checks: list[Check] = [store.ping, partial(agree_on_secrets, settings, open_key_checks(settings, calls))]
    if pool is not None:
        networks = open_networks(settings.abuse, clock.now_ms())
        watch = NetworkWatch(
            networks,
            clock.now_ms,
            settings.abuse.network_list_reload_s,
            told=lambda state: metrics.observe_network_lists(state.lists),
        )
        background_tasks.append(watch.run)
        detect = DetectStage(
            analyser=pool,
            admission=Admission(store=store, gate=Gate(ledger, engine), patience=patience),
            origins=OriginReader(hasher(settings, policy), networks),
            marker=ReferenceExtractor(mark_keys(settings, policy, faces)),
            detections_topic=names[Topic.DETECTIONS],
            source=settings.source,
            **common,
        )
        limit = settings.detection.slots + settings.detection.read_ahead
        agents.append(AgentSpec(name="detect", topic=names[Topic.SUBMISSIONS], stage=detect, limit=limit))
    if Role.DECIDE in roles:
        reuse = open_reuse(settings, policy, calls, ledger, faces)
        checks.append(partial(say_what_is_compared, reuse))
        decide = DecideStage(
            store=store,
            abuse=AbuseStage(ledger=ledger, engine=engine, reuse=reuse, patience=patience, policy=policy),
            patience=patience,
            builders=[
                DecisionEvents(topic=names[Topic.DECISIONS], source=settings.source),
                FlagEvents(topic=names[Topic.ABUSE_FLAGS], source=settings.source),
            ],
            **common,
        )
        limit = settings.delivery.max_deciding
        agents.append(AgentSpec(name="decide", topic=names[Topic.DETECTIONS], stage=decide, limit=limit))
    sender = ConfirmedSender(app, settings.delivery.send_timeout_s)
    publisher = Publisher(sender, patience, settings.delivery.output_patience_s)
    if Role.COMMAND in roles:
        stage = CommandStage(
            services=ReviewServices(
                flags=FlagReviews(ledger, open_links(settings, policy, calls), policy.abuse.flag_ttl_s),
                switches=RuleSwitches(ledger),
                erasures=open_erasures(settings, policy, calls, store),
            ),
            log=RedisCommandLog(calls, settings.redis_prefix),
            audit=RedisAuditLog(calls, settings.redis_prefix),
            patience=patience,
            topics=names,
            dead_letters=common["dead_letters"],
            source=settings.source,
        )
        agents.append(AgentSpec(name="command", topic=names[Topic.COMMANDS], stage=stage, limit=1))
        sweeper = Sweeper(
            ledger=ledger,
            publisher=publisher,
            patience=patience,
            clock=clock,
            flags_topic=names[Topic.ABUSE_FLAGS],
            source=settings.source,
            every_s=settings.abuse.sweep_s,
        )
        background_tasks.append(sweeper.run)
    return Worker(
        WorkerComponents(
            settings=settings,
            app=app,
            agents=agents,
            pool=pool,
            publisher=publisher,
            patience=patience,
            clock=clock,
            checks=checks,
            background_tasks=background_tasks,
            closings=[store.close],
        )
    )


def notifier_group(settings: Settings) -> str:
    """A group of its own: it neither takes partitions from workers nor waits for them."""
    return f"{settings.group_id}-notify"


def build_notifier(settings: Settings, target: Target, key: bytes) -> Worker:
    """A worker with one agent, which posts flags to the target, signed with the key."""
    clock, patience = SystemClock(), RetryPolicy()
    app = make_app(settings, group=notifier_group(settings), finishes_work=False)
    sender = ConfirmedSender(app, settings.delivery.send_timeout_s)
    stage = NotifyStage(
        partial(open_webhook, target, key, settings.webhook, clock, at_once=DELIVERIES_AT_ONCE),
        dead_letters=_dead_letters(settings),
    )
    agent = AgentSpec(
        name="notify",
        topic=topic_name(Topic.ABUSE_FLAGS, settings.kafka),
        stage=stage,
        limit=DELIVERIES_AT_ONCE,
        most_unacknowledged=MOST_UNACKNOWLEDGED,
    )
    return Worker(
        WorkerComponents(
            settings=settings,
            app=app,
            agents=[agent],
            publisher=Publisher(sender, patience, settings.delivery.output_patience_s),
            patience=patience,
            clock=clock,
            checks=[stage.open],
            background_tasks=[BrokerWatch(app, patience, settings.delivery).run],
            closings=[stage.close],
        )
    )


def _dead_letters(settings: Settings) -> DeadLetters:
    topic = topic_name(Topic.DEAD_LETTER, settings.kafka)
    return DeadLetters(topic=topic, max_bytes=settings.kafka.max_event_bytes)


def open_store(settings: Settings, calls: RedisClient | None = None) -> DecisionStore:
    """The decision store; nothing is sent before the first call."""
    return RedisDecisionStore(calls or connect(settings.redis), settings.redis_prefix, settings.redis.decision_ttl_s)


def open_pool(
    settings: Settings,
    policy: Policy,
    *,
    slots: int | None = None,
    analyser: AnalyserFactory = FACE_ANALYSER,
) -> SlotPool:
    """The slot processes, not yet started; `slots` overrides the setting. Raises SettingsError for a wrong model."""
    model_versions(settings, policy)
    detection = settings.detection
    return SlotPool(
        analyser,
        (policy.model_dump_json(), detection.face_landmarker_bundle, template_source(settings, policy)),
        settings=PoolSettings(
            slots=slots or detection.slots,
            deadline_s=policy.deadlines.detector_s,
            memory_mib=detection.slot_memory_mib,
            max_image_bytes=policy.image.max_bytes,
            recycle_after=detection.recycle_after,
            preload=SLOT_PRELOAD,
        ),
    )
