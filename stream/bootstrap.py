"""The composition root: the one place where settings become connected parts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from abuse.engine import AbuseEngine
from abuse.erasure import Erasures
from abuse.face_index import HOUR_MS, MOST_FACES_A_PLACE, FaceIndex, FacePlan
from abuse.face_keys import FaceKeys
from abuse.face_prints import Distance
from abuse.flag_events import PolicyName
from abuse.gate import Gate
from abuse.ledger import Ledger
from abuse.link_book import LinkBook
from abuse.media_index import MediaPlan
from abuse.media_keys import MediaKeys
from abuse.networks import NetworkWatch, open_networks
from abuse.origins import OriginReader
from abuse.redis_audit import RedisAuditLog, RedisCommandLog
from abuse.redis_erasure import RedisLedgerErasure
from abuse.redis_face_index import RedisFaceIndex
from abuse.redis_ledger import RedisLedger
from abuse.redis_link_book import RedisLinkBook
from abuse.redis_media_index import RedisMediaIndex
from abuse.redis_port import Calls
from abuse.reuse import FaceBounds, Faces, Reuse
from abuse.reviews import Reviews
from abuse.subjects import HashKey, SubjectHasher
from config.cache import cache_folder
from config.policy import Policy
from config.settings import Settings, SettingsError
from detectors import models
from detectors.contract import ModelVersion
from detectors.models import ModelFile
from detectors.pool import Analyser, PoolSettings, SlotPool
from detectors.template import TemplateModelUnusable, TemplateSource, describe, load
from stream import metrics
from stream.abuse_stage import AbuseStage
from stream.admission import Admission
from stream.agents import Lane
from stream.app import ConfirmedSender, make_app
from stream.clock import SystemClock
from stream.command_stage import CommandStage
from stream.decide_stage import DecideStage
from stream.decision_store import DecisionStore
from stream.detect_stage import DetectStage
from stream.marking import Marker, model_id
from stream.patience import Patience
from stream.publishing import Publisher
from stream.redis_calls import connect
from stream.redis_decision_store import RedisDecisionStore
from stream.retention import beyond_erasure, links_life_ms
from stream.sweeper import Sweeper
from stream.topics import Topic, topic_name
from stream.worker import Check, Chore, Parts, Role, Worker

log = structlog.get_logger()

ALL_ROLES = frozenset(Role)
#: Imported once and inherited by every slot; none of them starts a thread.
SLOT_PRELOAD = ("numpy", "cv2", "mediapipe", "detectors.analysis")


def face_analyser(policy_json: str, bundle: Path | None, template: TemplateSource | None) -> Analyser:
    """Built once in each slot process; imports native code only there."""
    from detectors.analysis import FaceAnalyser

    return FaceAnalyser(Policy.model_validate_json(policy_json), bundle, template)


def build_worker(
    settings: Settings,
    roles: Collection[Role] = ALL_ROLES,
    analyser: Callable[..., Analyser] = face_analyser,
) -> Worker:
    """A worker with these roles. `analyser` is replaced only by tests that need a picture to fail."""
    policy, clock, patience = settings.policy(), SystemClock(), Patience()
    app = make_app(settings)
    calls = connect(settings.redis)
    store, ledger = open_store(settings, calls), open_ledger(settings, policy, calls)
    engine = AbuseEngine(policy.abuse, PolicyName(name=policy.name, sha256=policy.sha256))
    pool = open_pool(settings, policy, analyser=analyser) if Role.DETECT in roles else None
    names = {topic: topic_name(topic, settings.kafka) for topic in Topic}
    common: dict[str, Any] = {
        "clock": clock,
        "policy": policy,
        "dead_letter_topic": names[Topic.DEAD_LETTER],
        "max_event_bytes": settings.kafka.max_event_bytes,
        "source": settings.source,
    }
    lanes, chores, checks = [], list[Chore](), list[Check]()
    if pool is not None:
        networks = open_networks(settings.abuse, clock.now_ms())
        watch = NetworkWatch(
            networks,
            clock.now_ms,
            settings.abuse.network_list_reload_s,
            told=lambda state: metrics.observe_network_lists(state.lists),
        )
        chores.append(watch.run)
        detect = DetectStage(
            analyser=pool,
            admission=Admission(store=store, gate=Gate(ledger, engine), patience=patience),
            origins=OriginReader(hasher(settings, policy), networks),
            marker=Marker(face_keys(settings, policy)),
            detections_topic=names[Topic.DETECTIONS],
            **common,
        )
        limit = settings.detection.slots + settings.detection.read_ahead
        lanes.append(Lane(name="detect", topic=names[Topic.SUBMISSIONS], stage=detect, limit=limit))
    if Role.DECIDE in roles:
        reuse = open_reuse(settings, policy, calls, ledger)
        checks.append(partial(say_what_is_compared, reuse))
        decide = DecideStage(
            store=store,
            abuse=AbuseStage(ledger=ledger, engine=engine, reuse=reuse, patience=patience, policy=policy),
            patience=patience,
            decisions_topic=names[Topic.DECISIONS],
            flags_topic=names[Topic.ABUSE_FLAGS],
            **common,
        )
        limit = settings.delivery.max_deciding
        lanes.append(Lane(name="decide", topic=names[Topic.DETECTIONS], stage=decide, limit=limit))
    sender = ConfirmedSender(app, settings.delivery.send_timeout_s)
    publisher = Publisher(sender, patience, settings.delivery.output_patience_s)
    if Role.COMMAND in roles:
        stage = CommandStage(
            reviews=Reviews(ledger, open_links(settings, policy, calls), policy.abuse.flag_ttl_s),
            erasures=open_erasures(settings, policy, calls, store),
            log=RedisCommandLog(calls, settings.redis_prefix),
            audit=RedisAuditLog(calls, settings.redis_prefix),
            patience=patience,
            audit_topic=names[Topic.AUDIT],
            flags_topic=names[Topic.ABUSE_FLAGS],
            dead_letter_topic=names[Topic.DEAD_LETTER],
            max_event_bytes=settings.kafka.max_event_bytes,
            source=settings.source,
        )
        lanes.append(Lane(name="command", topic=names[Topic.COMMANDS], stage=stage, limit=1))
        sweeper = Sweeper(
            ledger=ledger,
            publisher=publisher,
            patience=patience,
            clock=clock,
            flags_topic=names[Topic.ABUSE_FLAGS],
            source=settings.source,
            every_s=settings.abuse.sweep_s,
        )
        chores.append(sweeper.run)
    return Worker(
        Parts(
            settings=settings,
            app=app,
            lanes=lanes,
            store=store,
            pool=pool,
            publisher=publisher,
            patience=patience,
            clock=clock,
            checks=checks,
            chores=chores,
        )
    )


def open_store(settings: Settings, calls: Calls | None = None) -> DecisionStore:
    """The decision store; nothing is sent before the first call."""
    return RedisDecisionStore(calls or connect(settings.redis), settings.redis_prefix, settings.redis.decision_ttl_s)


def open_ledger(settings: Settings, policy: Policy, calls: Calls) -> Ledger:
    """The abuse table."""
    return RedisLedger(calls, settings.redis_prefix, policy.abuse.flag_ttl_s)


def hasher(settings: Settings, policy: Policy) -> SubjectHasher | None:
    """What stands for addresses and devices; None without hash keys, and then neither is observed."""
    keys = _hash_keys(settings)
    return SubjectHasher(keys, policy.abuse.flag_ttl_s * 1000) if keys else None


def face_keys(settings: Settings, policy: Policy) -> FaceKeys | None:
    """What faces are transformed with; None without hash keys, and then no face and no picture is compared."""
    keys = _hash_keys(settings)
    return FaceKeys(keys, policy.abuse.face_reuse.window_s * 1000) if keys else None


def open_reuse(settings: Settings, policy: Policy, calls: Calls, ledger: Ledger) -> Reuse | None:
    """What finds the same face and the same picture; None without hash keys."""
    keys, limits = _hash_keys(settings), policy.abuse
    if not keys:
        return None
    pictures = MediaPlan(window_ms=limits.media_replay.window_s * 1000)
    return Reuse(
        pictures=RedisMediaIndex(calls, settings.redis_prefix, pictures, MediaKeys(keys, pictures.window_ms)),
        book=open_links(settings, policy, calls),
        ledger=ledger,
        policy=limits,
        faces=_faces(settings, policy, calls),
    )


def open_links(settings: Settings, policy: Policy, calls: Calls) -> LinkBook:
    """The book of links."""
    return RedisLinkBook(calls, settings.redis_prefix, links_life_ms(policy))


def open_face_index(
    settings: Settings, policy: Policy, calls: Calls, distances: Mapping[str, Distance] | None = None
) -> FaceIndex:
    """Where faces are kept. Without `distances` it is only for who moves or forgets them."""
    return RedisFaceIndex(calls, settings.redis_prefix, face_plan(settings, policy, distances or {}))


def open_erasures(settings: Settings, policy: Policy, calls: Calls, store: DecisionStore) -> Erasures:
    """What removes a subject. It needs no model and no secret: faces and pictures are found by whose they are."""
    pictures = MediaPlan(window_ms=policy.abuse.media_replay.window_s * 1000)
    keys = MediaKeys(_hash_keys(settings) or [HashKey(id="none", secret=b"")], pictures.window_ms)
    return Erasures(
        ledger=RedisLedgerErasure(calls, settings.redis_prefix),
        book=open_links(settings, policy, calls),
        decisions=store,
        faces=open_face_index(settings, policy, calls),
        pictures=RedisMediaIndex(calls, settings.redis_prefix, pictures, keys),
        links_ms=links_life_ms(policy),
        beyond=beyond_erasure(settings),
    )


async def say_what_is_compared(reuse: Reuse | None) -> None:
    """At start-up: what is off, and why."""
    if reuse is None:
        log.warning("reuse_off", why="LIVENESS_ABUSE__HASH_KEYS is not set: neither faces nor pictures are compared")
    elif reuse.faces is None:
        log.warning("face_reuse_off", why="no face template model, or one that nobody has calibrated")
    elif not await reuse.prepare():
        log.warning("face_reuse_off", why="this Redis has no vector sets: faces are not compared; 8.0 or newer has")


def face_plan(settings: Settings, policy: Policy, distances: Mapping[str, Distance]) -> FacePlan:
    """How faces are kept and searched. A stretch of several hours is split as its busiest would fill it."""
    limits = settings.abuse
    return FacePlan(
        window_ms=policy.abuse.face_reuse.window_s * 1000,
        span_ms=limits.face_span_h * HOUR_MS,
        parts=-(-limits.faces_an_hour * limits.face_span_h // MOST_FACES_A_PLACE),
        deadline_s=limits.face_search_s,
        distances=distances,
    )


def _faces(settings: Settings, policy: Policy, calls: Calls) -> Faces | None:
    source, keys = template_source(settings, policy), face_keys(settings, policy)
    if source is None or keys is None:
        return None
    spec, _ = describe(source)
    if spec.impostors is None or spec.genuine_threshold is None:
        return None
    model = model_id(spec.name, spec.sha256)
    return Faces(
        model=model,
        index=open_face_index(settings, policy, calls, {model: Distance(spec.distance)}),
        keys=keys,
        bounds=FaceBounds(impostors=spec.impostors, farthest=spec.genuine_threshold),
    )


def _hash_keys(settings: Settings) -> list[HashKey]:
    return [
        HashKey(
            id=key.id,
            secret=key.secret.get_secret_value().encode(),
            since_ms=0 if key.since is None else int(key.since.timestamp() * 1000),
        )
        for key in settings.abuse.hash_keys
    ]


def template_source(settings: Settings, policy: Policy) -> TemplateSource | None:
    """Where face templates come from; None where the policy switches them off."""
    if not policy.template.active:
        return None
    return TemplateSource(manifest=settings.detection.template_manifest, cache=cache_folder())


def model_files(settings: Settings, policy: Policy) -> tuple[ModelFile, ...]:
    """Every model file in use, read and hashed, the face template's also if there is trouble with it. Raises
    SettingsError for a configured file or manifest that can't be used."""
    source = template_source(settings, policy)
    return (*_mesh_files(settings), *(() if source is None else (_template_file(source),)))


def model_versions(settings: Settings, policy: Policy) -> tuple[ModelVersion, ...]:
    """The models in use; raises SettingsError for a file that is missing or isn't as pinned."""
    files = model_files(settings, policy)
    for file in files:
        if file.trouble:
            raise SettingsError(file.trouble)
    return tuple(file.model for file in files)


def _mesh_files(settings: Settings) -> tuple[ModelFile, ...]:
    bundle = settings.detection.face_landmarker_bundle
    if bundle is None:
        return models.solutions_files()
    try:
        found = models.face_landmarker_model(bundle.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"detection.face_landmarker_bundle: {error}") from None
    return (ModelFile(model=found, path=bundle, licence=models.MEDIAPIPE_LICENCE),)


def _template_file(source: TemplateSource) -> ModelFile:
    try:
        spec, path = describe(source)
    except TemplateModelUnusable as error:
        raise SettingsError(f"detection.template_manifest: {error}") from None
    try:
        load(source)
        trouble = ""
    except TemplateModelUnusable as error:
        trouble = str(error)
    return ModelFile(model=spec.model, path=path, licence=spec.licence, trouble=trouble)


def open_pool(
    settings: Settings,
    policy: Policy,
    *,
    slots: int | None = None,
    analyser: Callable[..., Analyser] = face_analyser,
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
