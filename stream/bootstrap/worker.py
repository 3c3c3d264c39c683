"""The worker and the notifier, put together: a function for each agent, from settings to connected components."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

from abuse.event_time import MS
from abuse.flags.flag_events import PolicyName
from abuse.networks.networks import NetworkWatch, open_networks
from abuse.origins import OriginReader
from abuse.redis_port import RedisClient
from abuse.review.redis_audit import RedisAuditLog, RedisCommandLog
from abuse.review.reviews import FlagReviews
from abuse.review.rule_switches import RuleSwitches
from abuse.rules.engine import AbuseEngine
from abuse.rules.gate import Gate
from abuse.store_time import RedisTime, StoreTime
from config.policy import Policy
from config.settings import MIB, Settings
from detectors.pool import AnalyserFactory, Confinement, PoolSettings, SlotPool
from stream.bootstrap.abuse import (
    agree_on_secrets,
    face_keys,
    hasher,
    mark_keys,
    open_erasures,
    open_frame_index,
    open_key_checks,
    open_ledger,
    open_links,
    open_pending,
    open_reuse,
    say_what_is_compared,
    template_kinds,
)
from stream.bootstrap.authentication import open_group_macs, open_macs, open_reviewers, signatures_by
from stream.bootstrap.fleet import badge, open_fleet_watch
from stream.bootstrap.installation import open_installation_watch
from stream.bootstrap.models import face_bound, impostors, model_versions, network_sources, slot_files, template_source
from stream.bootstrap.sessions import SessionParts, open_session_keys, open_session_store
from stream.encryption.key_folder import ImageKeys, KeyFolder, KeyWatch
from stream.events.dead_letter import DeadLetters
from stream.events.detection_part import is_part
from stream.events.event_times import EventTimes
from stream.events.forgeries import Forgeries
from stream.events.record_mac import RecordMacs
from stream.events.topics import Topic, topic_name
from stream.kafka.agents.agents import AgentSpec, Stage
from stream.kafka.agents.authentic import AuthenticStage
from stream.kafka.agents.caution import Caution
from stream.kafka.agents.publishing import Publisher
from stream.kafka.agents.trial import Trial
from stream.kafka.clients.access import notifier_group
from stream.kafka.clients.security import why_refused
from stream.kafka.consumer.app import BrokerWatch, ConfirmedSender, LivenessApp, make_app
from stream.kafka.worker.worker import BackgroundTask, Check, Role, Worker, WorkerComponents
from stream.maintenance.join_sweeper import JoinSweeper
from stream.maintenance.sweeper import Sweeper
from stream.notify.stage import DELIVERIES_AT_ONCE, MOST_UNACKNOWLEDGED, NotifyStage
from stream.notify.targets import WebhookTarget
from stream.notify.webhook import open_webhook
from stream.pipeline.admission.admission import Admission
from stream.pipeline.capture.marking import ReferenceExtractor
from stream.pipeline.capture.session_images import SessionImages
from stream.pipeline.decision.abuse_stage import AbuseStage
from stream.pipeline.decision.decide_stage import DecideStage
from stream.pipeline.decision.event_builders import DecisionEvents, FlagEvents, SessionEvents
from stream.pipeline.decision.replays import Replays
from stream.pipeline.decision_store import DecisionStore
from stream.pipeline.detection.detect_stage import DetectStage
from stream.pipeline.detection.fair_turns import FairTurns
from stream.pipeline.join.group_parts import GroupParts
from stream.pipeline.join.join import Join, JoinPlan
from stream.redis.client import connect
from stream.redis.decision_store import RedisDecisionStore
from stream.redis.eviction import EvictionWatch
from stream.redis.marker import MarkerGuard, marker_keys
from stream.redis.partition_notes import RedisPartitionNotes
from stream.redis.permissions import require_commands
from stream.review.command_stage import CommandStage
from stream.review.kinds.base import ReviewServices
from stream.review.reviewers import ReviewersWatch
from stream.runtime import metrics
from stream.runtime.clock import SystemClock
from stream.runtime.clock_watch import ClockWatch
from stream.runtime.patience import RetryPolicy
from stream.sessions.expiry import SessionExpiry
from stream.sessions.ledger import SessionBook

ALL_ROLES = frozenset(Role)
#: Imported once and inherited by every slot; none of them starts a thread.
SLOT_PRELOAD = ("numpy", "cv2", "mediapipe", "detectors.analysis")
#: Submissions that wait for their turn, at most; and those behind the oldest that is not done, which a crash repeats.
MOST_WAITING, MOST_UNACKNOWLEDGED_SUBMISSIONS = 48, 250
#: By name, since importing the function would load native code into the worker.
FACE_ANALYSER = "detectors.analysis:face_analyser"


class _Shared:
    """Components that several agents of one worker use; nothing is connected yet."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.policy = settings, settings.policy()
        self.clock, self.patience = SystemClock(), RetryPolicy()
        self.app = make_app(settings)
        self.macs = open_macs(settings, self.clock)
        self.publisher = _publisher(self.app, settings, self.patience, self.macs)
        self.dead_letters = _dead_letters(settings)
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
class _Part:
    """Share of a role in a worker: the agent, and what comes before its first record and runs beside it."""

    agent: AgentSpec
    checks: Sequence[Check] = ()
    background_tasks: Sequence[BackgroundTask] = ()


def build_worker(
    settings: Settings, roles: Collection[Role] = ALL_ROLES, analyser: AnalyserFactory = FACE_ANALYSER
) -> Worker:
    """A worker with these roles. `analyser` is replaced only by tests that need a picture to fail."""
    shared = _Shared(settings)
    pool = open_pool(settings, shared.policy, analyser=analyser) if Role.DETECT in roles else None
    parts: list[_Part] = []
    if pool is not None:
        parts.append(_detecting(shared, pool))
    if Role.DECIDE in roles:
        parts.append(_deciding(shared))
    if Role.COMMAND in roles:
        parts.append(_commanding(shared))
    watch = _clock_watch(shared)
    secrets = partial(agree_on_secrets, settings, open_key_checks(settings, shared.redis))
    eviction, permissions = EvictionWatch(settings.redis), partial(require_commands, settings)
    ours = badge(settings, shared.policy, roles)
    fleet = open_fleet_watch(settings, ours, shared.redis, shared.time, shared.patience)
    installation = open_installation_watch(settings, shared.guard)
    # The installation's own check comes before any call of a guarded client.
    checks: list[Check] = [permissions, eviction.check, installation.look, shared.store.ping, watch.check, secrets]
    return Worker(
        WorkerComponents(
            settings=settings,
            app=shared.app,
            agents=[part.agent for part in parts],
            pool=pool,
            publisher=shared.publisher,
            patience=shared.patience,
            clock=shared.clock,
            checks=[*checks, *(check for part in parts for check in part.checks), fleet.check],
            background_tasks=[
                _broker_watch(shared.app, shared.patience, settings).run,
                watch.run,
                eviction.run,
                fleet.run,
                installation.run,
                *shared.sessions.background_tasks,
                *(task for part in parts for task in part.background_tasks),
            ],
            closings=[fleet.leave, shared.store.close, installation.close],
            troubles=lambda: (*eviction.troubles(), *installation.troubles()),
            caution=Caution(RedisPartitionNotes(shared.redis, settings.redis_prefix), shared.patience),
            trial=Trial(shared.patience),
        )
    )


def _detecting(shared: _Shared, pool: SlotPool) -> _Part:
    settings, policy, clock = shared.settings, shared.policy, shared.clock
    detection = settings.detection
    networks = open_networks(settings.abuse, clock.now_ms())
    watch = NetworkWatch(
        networks,
        clock.now_ms,
        settings.abuse.network_list_reload_s,
        on_state=lambda state: metrics.observe_network_lists(state.lists),
    )
    keys = open_keys(settings)
    image_keys = open_image_keys(settings)
    share = detection.fair_share if detection.waiting_mib else 1.0
    turns = FairTurns(detection.slots, detection.read_ahead, share)
    stage = DetectStage(
        analyser=pool,
        turns=turns,
        admission=Admission(
            store=shared.store,
            gate=Gate(shared.ledger, shared.engine),
            patience=shared.patience,
            sessions=shared.sessions.gate,
        ),
        origins=OriginReader(hasher(settings, policy), networks),
        marker=ReferenceExtractor(mark_keys(settings, policy, shared.faces)),
        images=SessionImages(
            keys=image_keys,
            topic=shared.topics[Topic.SESSION_IMAGES],
            source=settings.source,
            max_bytes=settings.kafka.max_event_bytes,
        ),
        detections_topic=shared.topics[Topic.DETECTIONS],
        source=settings.source,
        clock=clock,
        times=shared.times,
        policy=policy,
        dead_letters=shared.dead_letters,
        keys=keys,
        sessions=shared.sessions.keys is not None,
        impostors=impostors(settings, policy),
        template_kinds=template_kinds(settings, policy),
    )
    agent = replace(
        _agent(shared, "detect", Topic.SUBMISSIONS, stage, detection.slots + detection.read_ahead),
        turns=turns,
        waiting=MOST_WAITING,
        waiting_bytes=detection.waiting_mib * MIB,
        most_unacknowledged=MOST_UNACKNOWLEDGED_SUBMISSIONS,
    )
    tasks: list[BackgroundTask] = [watch.run]
    if keys is not None:
        tasks.append(KeyWatch(keys, settings.encryption.key_reload_s).run)
    if image_keys is not None:
        tasks.append(KeyWatch(image_keys, settings.sessions.key_reload_s).run)
    return _Part(agent=agent, background_tasks=tasks)


def open_keys(settings: Settings) -> KeyFolder | None:
    """Private keys of encrypted selfies, read once. Blocks. Raises SettingsError naming the unusable file."""
    if settings.encryption.keys is None:
        return None
    keys = KeyFolder(settings.encryption.keys)
    keys.open()
    return keys


def open_image_keys(settings: Settings) -> ImageKeys | None:
    """Tenants' public keys of session images, read once. Blocks. Raises SettingsError naming the unusable file."""
    if settings.sessions.image_keys is None:
        return None
    keys = ImageKeys(settings.sessions.image_keys)
    keys.open()
    return keys


def _deciding(shared: _Shared) -> _Part:
    settings, policy = shared.settings, shared.policy
    forgeries = Forgeries(Topic.DETECTIONS, shared.dead_letters)
    replays = Replays(forgeries=forgeries, decisions_kept_ms=settings.redis.decision_ttl_s * MS)
    reuse = open_reuse(settings, policy, shared.redis, shared.ledger, shared.faces)
    plan = JoinPlan(
        groups=tuple(policy.groups),
        frames_s=settings.join.frames_s,
        groups_s=settings.join.groups_s,
        kinds=template_kinds(settings, policy),
    )
    pending = open_pending(settings, shared.redis, shared.time)
    stage = DecideStage(
        store=shared.store,
        abuse=AbuseStage(
            ledger=shared.ledger, engine=shared.engine, reuse=reuse, patience=shared.patience, policy=policy
        ),
        patience=shared.patience,
        builders=[
            DecisionEvents(topic=shared.topics[Topic.DECISIONS], source=settings.source),
            FlagEvents(topic=shared.topics[Topic.ABUSE_FLAGS], source=settings.source),
            SessionEvents(topic=shared.topics[Topic.SESSIONS], source=settings.source),
        ],
        clock=shared.clock,
        policy=policy,
        dead_letters=shared.dead_letters,
        replays=replays if settings.records.keys else None,
        sessions=SessionBook(store=shared.sessions.store),
        frames=open_frame_index(settings, policy, shared.redis) if settings.abuse.hash_keys else None,
        face_bound=face_bound(settings, policy),
        join=Join(pending=pending, patience=shared.patience, time=shared.time, plan=plan),
        group_parts=GroupParts(
            groups=policy.groups.keys(),
            macs=open_group_macs(settings),
            dead_letters=shared.dead_letters,
            forgeries=forgeries,
        ),
    )
    sweeper = JoinSweeper(stage=stage, publisher=shared.publisher)
    limit = settings.delivery.max_deciding
    authentic = AuthenticStage(stage, shared.macs, forgeries, is_part)
    agent = _agent(shared, "decide", Topic.DETECTIONS, authentic, limit)
    return _Part(agent=agent, checks=[partial(say_what_is_compared, reuse)], background_tasks=[sweeper.run])


def _commanding(shared: _Shared) -> _Part:
    settings, policy, redis = shared.settings, shared.policy, shared.redis
    reviewers = open_reviewers(settings)
    stage = CommandStage(
        services=ReviewServices(
            flags=FlagReviews(shared.ledger, open_links(settings, policy, redis), policy.abuse.flag_ttl_s),
            switches=RuleSwitches(shared.ledger),
            erasures=open_erasures(settings, policy, redis, shared.store),
            sessions=shared.sessions.desk(shared.ledger, shared.engine),
        ),
        log=RedisCommandLog(redis, settings.redis_prefix),
        audit=RedisAuditLog(redis, settings.redis_prefix),
        patience=shared.patience,
        times=shared.times,
        topics=shared.topics,
        dead_letters=shared.dead_letters,
        forgeries=Forgeries(Topic.COMMANDS, shared.dead_letters),
        source=settings.source,
        signatures=signatures_by(settings, reviewers),
    )
    sweeper = Sweeper(
        ledger=shared.ledger,
        publisher=shared.publisher,
        patience=shared.patience,
        time=shared.time,
        flags_topic=shared.topics[Topic.ABUSE_FLAGS],
        source=settings.source,
        every_s=settings.abuse.sweep_s,
        sessions=SessionExpiry(shared.sessions.store),
        sessions_topic=shared.topics[Topic.SESSIONS],
    )
    agent = _agent(shared, "command", Topic.COMMANDS, stage, limit=1)
    tasks: list[BackgroundTask] = [sweeper.run]
    if reviewers is not None:
        tasks.append(ReviewersWatch(reviewers, settings.commands.reload_s).run)
    return _Part(agent=agent, background_tasks=tasks)


def _broker_watch(app: LivenessApp, patience: RetryPolicy, settings: Settings) -> BrokerWatch:
    return BrokerWatch(app, patience, settings.delivery, partial(why_refused, settings.kafka))


def _clock_watch(shared: _Shared) -> ClockWatch:
    limit_s = shared.settings.redis.max_clock_difference_s
    return ClockWatch(time=shared.time, clock=shared.clock, patience=shared.patience, limit_s=limit_s)


def _agent(shared: _Shared, name: str, topic: Topic, stage: Stage, limit: int) -> AgentSpec:
    return AgentSpec(name=name, topic=shared.topics[topic], stage=stage, dead_letters=shared.dead_letters, limit=limit)


def build_notifier(settings: Settings, target: WebhookTarget, key: bytes) -> Worker:
    """A worker with one agent, which posts flags to the target, signed with the key."""
    clock, patience, letters = SystemClock(), RetryPolicy(), _dead_letters(settings)
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
            publisher=_publisher(app, settings, patience, macs),
            patience=patience,
            clock=clock,
            finishes_work=False,
            checks=[stage.open],
            background_tasks=[_broker_watch(app, patience, settings).run],
            closings=[stage.close],
        )
    )


def _publisher(app: LivenessApp, settings: Settings, patience: RetryPolicy, macs: RecordMacs) -> Publisher:
    sender = ConfirmedSender(app, settings.delivery.send_timeout_s)
    return Publisher(sender, patience, settings.delivery.output_patience_s, macs)


def _dead_letters(settings: Settings) -> DeadLetters:
    topic = topic_name(Topic.DEAD_LETTER, settings.kafka)
    return DeadLetters(topic=topic, max_bytes=settings.kafka.max_event_bytes)


def open_store(settings: Settings, calls: RedisClient | None = None, time: StoreTime | None = None) -> DecisionStore:
    """Decision store of an installation; nothing is sent before the first call."""
    calls = calls or connect(settings.redis)
    return RedisDecisionStore(calls, settings.redis_prefix, settings.redis.decision_ttl_s, time)


def open_pool(
    settings: Settings, policy: Policy, *, slots: int | None = None, analyser: AnalyserFactory = FACE_ANALYSER
) -> SlotPool:
    """Slot pool, not yet started; `slots` overrides the setting. Raises SettingsError for a wrong model."""
    model_versions(settings, policy)
    detection = settings.detection
    return SlotPool(
        analyser,
        (
            policy.model_dump_json(),
            detection.face_landmarker_bundle,
            template_source(settings, policy),
            network_sources(settings, policy),
        ),
        settings=PoolSettings(
            slots=slots or detection.slots,
            deadline_s=policy.deadlines.detector_s,
            memory_mib=detection.slot_memory_mib,
            max_image_bytes=policy.image.max_bytes,
            recycle_after=detection.recycle_after,
            preload=SLOT_PRELOAD,
            readable=slot_files(settings, policy),
            confinement=Confinement(detection.confinement),
        ),
    )
