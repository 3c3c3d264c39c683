"""Components of the join, made from settings; nothing is sent before the first call."""

from __future__ import annotations

from abuse.event_time import MS
from abuse.redis_port import RedisClient
from abuse.store_time import StoreTime
from config.policy import Policy
from config.settings import Settings
from stream.bootstrap.abuse import open_pending
from stream.bootstrap.authentication import open_group_macs
from stream.bootstrap.shared import open_dead_letters
from stream.events.authentication.forgeries import Forgeries
from stream.events.topics import Topic
from stream.events.wire.dead_letter import DeadLetters
from stream.maintenance.parts_restoring import PartsRestoring
from stream.pipeline.capture.compared_frames import Kinds
from stream.pipeline.decision.replays import Replays
from stream.pipeline.decision_store import DecisionStore
from stream.pipeline.join.group_parts import GroupParts
from stream.pipeline.join.join import Join, JoinPlan
from stream.runtime.patience import RetryPolicy


def open_join(
    settings: Settings, policy: Policy, calls: RedisClient, time: StoreTime, patience: RetryPolicy, kinds: Kinds
) -> Join:
    """Join of an installation. `kinds`: how face templates are compared; not needed to restore parts."""
    plan = JoinPlan(
        groups=tuple(policy.groups), frames_s=settings.join.frames_s, groups_s=settings.join.groups_s, kinds=kinds
    )
    return Join(pending=open_pending(settings, calls, time), patience=patience, time=time, plan=plan)


def open_group_parts(settings: Settings, policy: Policy, dead_letters: DeadLetters, forgeries: Forgeries) -> GroupParts:
    return GroupParts(
        groups=policy.groups.keys(),
        macs=open_group_macs(settings),
        dead_letters=dead_letters,
        forgeries=forgeries,
    )


def open_replays(settings: Settings, forgeries: Forgeries) -> Replays | None:
    """Replays by the MACs of detections; None where these carry none."""
    kept_ms = settings.redis.decision_ttl_s * MS
    return Replays(forgeries=forgeries, decisions_kept_ms=kept_ms) if settings.records.keys else None


def open_parts_restoring(
    settings: Settings, policy: Policy, calls: RedisClient, store: DecisionStore, time: StoreTime, patience: RetryPolicy
) -> PartsRestoring:
    """Restoring of parts that wait, for a rebuild, which publishes nothing."""
    letters = open_dead_letters(settings)
    forgeries = Forgeries(Topic.DETECTIONS, letters)
    return PartsRestoring(
        join=open_join(settings, policy, calls, time, patience, {}),
        decisions=store,
        group_parts=open_group_parts(settings, policy, letters, forgeries),
        replays=open_replays(settings, forgeries),
        policy=policy,
        kept_ms=settings.redis.decision_ttl_s * MS,
    )
