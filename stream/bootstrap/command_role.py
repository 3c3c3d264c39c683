"""The command role of a worker: reviewers' commands are applied, and what has expired is swept."""

from __future__ import annotations

from functools import partial

from abuse.networks.watched_files import keep_current
from abuse.review.redis_audit import RedisAuditLog, RedisCommandLog
from abuse.review.reviews import FlagReviews
from abuse.review.rule_switches import RuleSwitches
from stream.bootstrap.abuse import open_erasures, open_links
from stream.bootstrap.authentication import open_reviewers, signatures_by
from stream.bootstrap.shared import RolePart, SharedComponents, agent_spec
from stream.events.authentication.forgeries import Forgeries
from stream.events.topics import Topic
from stream.kafka.worker.worker import BackgroundTask
from stream.maintenance.sweeper import Sweeper
from stream.review.command_stage import CommandStage
from stream.review.kinds.base import ReviewServices


def command_part(shared: SharedComponents) -> RolePart:
    """Agent on commands, with the sweep of flags and sessions."""
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
        sessions=shared.sessions.store,
        sessions_topic=shared.topics[Topic.SESSIONS],
    )
    agent = agent_spec(shared, "command", Topic.COMMANDS, stage, limit=1)
    tasks: list[BackgroundTask] = [sweeper.run]
    if reviewers is not None:
        tasks.append(partial(keep_current, reviewers.refresh, settings.commands.reload_s))
    return RolePart(agent=agent, background_tasks=tasks)
