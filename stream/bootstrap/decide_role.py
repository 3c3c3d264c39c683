"""The decide role of a worker: detections become decisions, flags and ends of sessions."""

from __future__ import annotations

from functools import partial

from stream.bootstrap.abuse import open_frame_index, open_reuse, say_what_is_compared
from stream.bootstrap.join import open_group_parts, open_join, open_replays
from stream.bootstrap.models import template_kinds, template_spec
from stream.bootstrap.shared import RolePart, SharedComponents, agent_spec
from stream.events.authentication.forgeries import Forgeries
from stream.events.topics import Topic
from stream.events.wire.detection_part import is_part
from stream.kafka.agents.authentic import AuthenticStage
from stream.maintenance.join_sweeper import JoinSweeper
from stream.pipeline.decision.abuse_stage import AbuseStage
from stream.pipeline.decision.decide_stage import DecideStage
from stream.pipeline.decision.event_builders import DecisionEvents, FlagEvents, SessionEvents
from stream.sessions.ledger import SessionBook


def decide_part(shared: SharedComponents) -> RolePart:
    """Agent on detections, with the sweep of waiting sets."""
    settings, policy = shared.settings, shared.policy
    forgeries = Forgeries(Topic.DETECTIONS, shared.dead_letters)
    spec, kinds = template_spec(settings, policy), template_kinds(settings, policy)
    reuse = open_reuse(settings, policy, shared.redis, shared.ledger, shared.faces)
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
        replays=open_replays(settings, forgeries),
        sessions=SessionBook(store=shared.sessions.store),
        frames=open_frame_index(settings, policy, shared.redis) if settings.abuse.hash_keys else None,
        face_bound=None if spec is None else spec.genuine_threshold,
        join=open_join(settings, policy, shared.redis, shared.time, shared.patience, kinds),
        group_parts=open_group_parts(settings, policy, shared.dead_letters, forgeries),
    )
    sweeper = JoinSweeper(stage=stage, publisher=shared.publisher)
    limit = settings.delivery.max_deciding
    authentic = AuthenticStage(stage, shared.macs, forgeries, is_part)
    agent = agent_spec(shared, "decide", Topic.DETECTIONS, authentic, limit)
    return RolePart(agent=agent, checks=[partial(say_what_is_compared, reuse)], background_tasks=[sweeper.run])
