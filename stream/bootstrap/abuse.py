"""Components of the abuse table, made from settings; nothing is sent before the first call."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from abuse.faces.face_bounds import FaceBounds
from abuse.faces.face_index import FaceIndex, face_plan
from abuse.faces.protected_template import Distance
from abuse.faces.redis_face_index import RedisFaceIndex
from abuse.faces.template_protection import TemplateProtection
from abuse.keys.key_checks import KeyChecks, agree, require_same
from abuse.keys.key_periods import HashKey
from abuse.keys.redis_key_checks import RedisKeyChecks
from abuse.keys.subject_hasher import SubjectHasher
from abuse.ledger.ledger import Ledger
from abuse.ledger.redis_ledger import RedisLedger
from abuse.links.large_clusters import LargeClusters
from abuse.links.link_store import LinkStore
from abuse.links.links import links_life_ms
from abuse.links.redis_large_clusters import RedisLargeClusters
from abuse.links.redis_link_store import RedisLinkStore
from abuse.links.reuse import Faces, ReuseSearch
from abuse.pictures.frame_index import FrameIndex
from abuse.pictures.media_index import MediaIndex, media_plan
from abuse.pictures.media_keys import MediaKeys
from abuse.pictures.redis_frame_index import RedisFrameIndex
from abuse.pictures.redis_media_index import RedisMediaIndex
from abuse.redis_port import RedisClient
from abuse.review.erasure import Erasures
from abuse.review.redis_erasure import RedisLedgerErasure
from abuse.store_time import RedisTime, StoreTime
from config.legal_values import HashKeys
from config.policy import Policy
from config.settings import Settings
from stream.bootstrap.models import template_kinds, template_spec
from stream.bootstrap.sessions import open_session_store
from stream.maintenance.retention import beyond_erasure
from stream.pipeline.capture.marking import MarkKeys
from stream.pipeline.decision.parts_erasure import PartsErasure
from stream.pipeline.decision_store import DecisionStore
from stream.pipeline.join.pending import PendingDetections
from stream.redis.pending import RedisPendingDetections

log = structlog.get_logger()


def open_ledger(settings: Settings, policy: Policy, calls: RedisClient) -> Ledger:
    """Ledger of flags, journals and observations."""
    return RedisLedger(calls, settings.redis_prefix, policy.abuse.flag_ttl_s)


def hasher(settings: Settings, policy: Policy) -> SubjectHasher | None:
    """Hasher of addresses and devices; None without hash keys: neither is observed then."""
    keys = hash_keys(settings)
    return SubjectHasher(keys, policy.abuse.flag_ttl_s * 1000) if keys else None


def mark_keys(settings: Settings, policy: Policy, faces: TemplateProtection | None) -> MarkKeys | None:
    """Keys that faces and pictures are transformed with; None without hash keys: neither is compared then."""
    if faces is None:
        return None
    return MarkKeys(faces=faces, pictures=MediaKeys(hash_keys(settings), media_plan(policy).window_ms))


def face_keys(settings: Settings, policy: Policy) -> TemplateProtection | None:
    """Template protection; None without hash keys. One instance a process: its matrices are large."""
    keys = hash_keys(settings)
    return TemplateProtection(keys, policy.abuse.face_reuse.window_s * 1000) if keys else None


def open_reuse(
    settings: Settings, policy: Policy, calls: RedisClient, ledger: Ledger, keys: TemplateProtection | None
) -> ReuseSearch | None:
    """Search for the same face and the same picture; None without hash keys."""
    if not settings.abuse.hash_keys:
        return None
    return ReuseSearch(
        pictures=_open_media_index(settings, policy, calls),
        links=open_links(settings, policy, calls),
        large=_open_large_clusters(settings, policy, calls),
        ledger=ledger,
        policy=policy.abuse,
        faces=_faces(settings, policy, calls, keys),
    )


def open_pending(settings: Settings, calls: RedisClient, time: StoreTime | None = None) -> PendingDetections:
    """Pending detections of an installation: parts of submissions that are not decided yet."""
    return RedisPendingDetections(calls, settings.redis_prefix, settings.redis.decision_ttl_s, time)


def open_links(settings: Settings, policy: Policy, calls: RedisClient) -> LinkStore:
    """Link store of an installation."""
    return RedisLinkStore(calls, settings.redis_prefix, links_life_ms(policy))


def open_face_index(
    settings: Settings, policy: Policy, calls: RedisClient, distances: Mapping[str, Distance] | None = None
) -> FaceIndex:
    """Face index; without `distances` for moving and erasing references only, not for searches."""
    plan = face_plan(settings, policy, distances or {})
    return RedisFaceIndex(calls, settings.redis_prefix, plan, in_order=not settings.redis.cluster)


def open_frame_index(settings: Settings, policy: Policy, calls: RedisClient) -> FrameIndex:
    """Frame index of an installation."""
    return RedisFrameIndex(calls, settings.redis_prefix, media_plan(policy))


def open_erasures(settings: Settings, policy: Policy, calls: RedisClient, store: DecisionStore) -> Erasures:
    """Erasure of a subject, without model or secret: faces and pictures are listed by correlation id."""
    return Erasures(
        ledger=RedisLedgerErasure(calls, settings.redis_prefix),
        links=open_links(settings, policy, calls),
        large=_open_large_clusters(settings, policy, calls),
        decisions=store,
        by_id={
            "parts": PartsErasure(
                pending=open_pending(settings, calls), decisions=store, policy=policy, time=RedisTime(calls)
            ),
            "faces": open_face_index(settings, policy, calls),
            "pictures": _open_media_index(settings, policy, calls),
            "frames": open_frame_index(settings, policy, calls),
            "sessions": open_session_store(settings, calls),
        },
        links_ms=links_life_ms(policy),
        beyond=beyond_erasure(settings, policy),
    )


def open_key_checks(settings: Settings, calls: RedisClient) -> KeyChecks:
    """Check values of the hash keys: which secret counts under which key id."""
    return RedisKeyChecks(calls, settings.redis_prefix)


async def agree_on_secrets(settings: Settings, checks: KeyChecks) -> None:
    """Start-up check of a process that writes with the hash keys. May be repeated.

    Raises SettingsError where another secret is in use under the id of a configured key.
    """
    await agree(checks, hash_keys(settings))


async def require_same_secrets(settings: Settings, checks: KeyChecks) -> None:
    """Check of a command that only reads: like `agree_on_secrets`, but stores nothing."""
    await require_same(checks, hash_keys(settings))


async def say_what_is_compared(reuse: ReuseSearch | None) -> None:
    """Start-up log of which comparisons are off, and why."""
    if reuse is None:
        log.warning("reuse_off", why="LIVENESS_ABUSE__HASH_KEYS is not set: neither faces nor pictures are compared")
    elif reuse.faces is None:
        log.warning("face_reuse_off", why="no face template model, or one that nobody has calibrated")
    elif not await reuse.prepare():
        log.warning("face_reuse_off", why="this Redis has no vector sets: faces are not compared; 8.0 or newer has")


def _open_large_clusters(settings: Settings, policy: Policy, calls: RedisClient) -> LargeClusters:
    return RedisLargeClusters(calls, settings.redis_prefix, links_life_ms(policy))


def _open_media_index(settings: Settings, policy: Policy, calls: RedisClient) -> MediaIndex:
    return RedisMediaIndex(calls, settings.redis_prefix, media_plan(policy), in_order=not settings.redis.cluster)


def _faces(settings: Settings, policy: Policy, calls: RedisClient, keys: TemplateProtection | None) -> Faces | None:
    spec = template_spec(settings, policy)
    if spec is None or keys is None or spec.impostors is None or spec.genuine_threshold is None:
        return None
    kinds = template_kinds(settings, policy)
    return Faces(
        model=next(iter(kinds)),
        index=open_face_index(settings, policy, calls, kinds),
        keys=keys,
        bounds=FaceBounds(impostors=spec.impostors, farthest=spec.genuine_threshold),
    )


def hash_keys(settings: Settings) -> list[HashKey]:
    return keys_of(settings.abuse.hash_keys)


def keys_of(configured: HashKeys) -> list[HashKey]:
    """Keys as settings have them, with their times in milliseconds."""
    return [
        HashKey(
            id=key.id,
            secret=key.secret.get_secret_value().encode(),
            since_ms=0 if key.since is None else int(key.since.timestamp() * 1000),
        )
        for key in configured
    ]
