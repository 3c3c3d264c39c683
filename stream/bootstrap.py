"""The composition root: the one place where settings become connected parts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from config.policy import Policy
from config.settings import Settings, SettingsError
from detectors import models
from detectors.contract import ModelVersion
from detectors.pool import Analyser, PoolSettings, SlotPool
from stream.agents import Lane
from stream.app import ConfirmedSender, make_app
from stream.clock import SystemClock
from stream.decide_stage import DecideStage
from stream.decision_store import DecisionStore
from stream.detect_stage import DetectStage
from stream.patience import Patience
from stream.publishing import Publisher
from stream.redis_decision_store import RedisDecisionStore, connect
from stream.topics import Topic, topic_name
from stream.worker import Parts, Role, Worker

ALL_ROLES = frozenset(Role)
#: Imported once and inherited by every slot; none of them starts a thread.
SLOT_PRELOAD = ("numpy", "cv2", "mediapipe", "detectors.analysis")


def face_analyser(policy_json: str, bundle: Path | None) -> Analyser:
    """Built once in each slot process; imports native code only there."""
    from detectors.analysis import FaceAnalyser

    return FaceAnalyser(Policy.model_validate_json(policy_json), bundle)


def build_worker(
    settings: Settings,
    roles: Collection[Role] = ALL_ROLES,
    analyser: Callable[..., Analyser] = face_analyser,
) -> Worker:
    """A worker with these roles. `analyser` is replaced only by tests that need a picture to fail."""
    policy, clock, patience = settings.policy(), SystemClock(), Patience()
    app = make_app(settings)
    store = open_store(settings)
    pool = open_pool(settings, policy, analyser=analyser) if Role.DETECT in roles else None
    names = {topic: topic_name(topic, settings.kafka) for topic in Topic}
    common: dict[str, Any] = {
        "store": store,
        "patience": patience,
        "clock": clock,
        "policy": policy,
        "dead_letter_topic": names[Topic.DEAD_LETTER],
        "max_event_bytes": settings.kafka.max_event_bytes,
        "source": settings.source,
    }
    lanes = []
    if pool is not None:
        detect = DetectStage(analyser=pool, detections_topic=names[Topic.DETECTIONS], **common)
        limit = settings.detection.slots + settings.detection.read_ahead
        lanes.append(Lane(name="detect", topic=names[Topic.SUBMISSIONS], stage=detect, limit=limit))
    if Role.DECIDE in roles:
        decide = DecideStage(decisions_topic=names[Topic.DECISIONS], **common)
        limit = settings.delivery.max_deciding
        lanes.append(Lane(name="decide", topic=names[Topic.DETECTIONS], stage=decide, limit=limit))
    sender = ConfirmedSender(app, settings.delivery.send_timeout_s)
    return Worker(
        Parts(
            settings=settings,
            app=app,
            lanes=lanes,
            store=store,
            pool=pool,
            publisher=Publisher(sender, patience, settings.delivery.output_patience_s),
            patience=patience,
            clock=clock,
        )
    )


def open_store(settings: Settings) -> DecisionStore:
    """The decision store; nothing is sent before the first call."""
    return RedisDecisionStore(connect(settings.redis), settings.redis_prefix, settings.redis.decision_ttl_s)


def model_versions(settings: Settings) -> tuple[ModelVersion, ...]:
    """The model files in use; raises SettingsError for a configured file that isn't the pinned one."""
    bundle = settings.detection.face_landmarker_bundle
    if bundle is None:
        return models.solutions_models()
    try:
        return (models.face_landmarker_model(bundle.read_bytes()),)
    except (OSError, ValueError) as error:
        raise SettingsError(f"detection.face_landmarker_bundle: {error}") from None


def open_pool(
    settings: Settings,
    policy: Policy,
    *,
    slots: int | None = None,
    analyser: Callable[..., Analyser] = face_analyser,
) -> SlotPool:
    """The slot processes, not yet started; `slots` overrides the setting. Raises SettingsError for a wrong model."""
    model_versions(settings)
    detection = settings.detection
    return SlotPool(
        analyser,
        (policy.model_dump_json(), detection.face_landmarker_bundle),
        settings=PoolSettings(
            slots=slots or detection.slots,
            deadline_s=policy.deadlines.detector_s,
            memory_mib=detection.slot_memory_mib,
            max_image_bytes=policy.image.max_bytes,
            recycle_after=detection.recycle_after,
            preload=SLOT_PRELOAD,
        ),
    )
