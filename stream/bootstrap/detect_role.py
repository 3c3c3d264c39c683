"""The detect role of a worker: submissions become detections."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from abuse.networks.networks import open_networks, watch_networks
from abuse.networks.watched_files import keep_current
from abuse.origins import OriginReader
from abuse.rules.gate import Gate
from config.groups.services import MIB
from config.settings import Settings
from detectors.pool import SlotPool
from stream.bootstrap.abuse import hasher, mark_keys
from stream.bootstrap.models import template_kinds, template_spec
from stream.bootstrap.shared import RolePart, SharedComponents, agent_spec
from stream.encryption.key_folder import ImageKeys, KeyFolder
from stream.events.topics import Topic
from stream.kafka.worker.worker import BackgroundTask
from stream.pipeline.admission.admission import Admission
from stream.pipeline.capture.marking import ReferenceExtractor
from stream.pipeline.capture.session_images import SessionImages
from stream.pipeline.detection.detect_stage import DetectStage
from stream.pipeline.detection.fair_turns import FairTurns
from stream.runtime import metrics

#: Submissions that wait for their turn, at most; and those behind the oldest that is not done, which a crash repeats.
MOST_WAITING, MOST_UNACKNOWLEDGED_SUBMISSIONS = 48, 250


def detect_part(shared: SharedComponents, pool: SlotPool) -> RolePart:
    """Agent on submissions over the pool, which the worker starts. Blocks. Raises SettingsError for unusable files."""
    settings, policy, clock = shared.settings, shared.policy, shared.clock
    detection, spec = settings.detection, template_spec(settings, policy)
    networks = open_networks(settings.abuse, clock.now_ms())
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
        impostors=None if spec is None else spec.impostors,
        template_kinds=template_kinds(settings, policy),
    )
    agent = replace(
        agent_spec(shared, "detect", Topic.SUBMISSIONS, stage, detection.slots + detection.read_ahead),
        turns=turns,
        waiting=MOST_WAITING,
        waiting_bytes=detection.waiting_mib * MIB,
        most_unacknowledged=MOST_UNACKNOWLEDGED_SUBMISSIONS,
    )
    every_s, on_state = settings.abuse.network_list_reload_s, lambda state: metrics.observe_network_lists(state.lists)
    tasks: list[BackgroundTask] = [partial(watch_networks, networks, clock.now_ms, every_s, on_state)]
    if keys is not None:
        tasks.append(partial(keep_current, keys.refresh, settings.encryption.key_reload_s))
    if image_keys is not None:
        tasks.append(partial(keep_current, image_keys.refresh, settings.sessions.key_reload_s))
    return RolePart(agent=agent, background_tasks=tasks)


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
