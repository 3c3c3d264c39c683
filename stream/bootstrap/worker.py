"""The worker, put together: the parts of its roles and what watches over all of them."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from config.settings import Settings
from detectors.pool import AnalyserFactory
from stream.bootstrap.abuse import agree_on_secrets, open_key_checks
from stream.bootstrap.command_role import command_part
from stream.bootstrap.decide_role import decide_part
from stream.bootstrap.detect_role import detect_part
from stream.bootstrap.fleet import badge, open_fleet_watch
from stream.bootstrap.installation import open_installation_watch
from stream.bootstrap.shared import RolePart, SharedComponents, broker_watch
from stream.bootstrap.slots import FACE_ANALYSER, open_pool
from stream.kafka.agents.caution import Caution
from stream.kafka.agents.trial import Trial
from stream.kafka.worker.worker import Check, Role, Worker, WorkerComponents
from stream.redis.eviction import EvictionWatch
from stream.redis.partition_notes import RedisPartitionNotes
from stream.redis.permissions import require_commands
from stream.runtime.clock_watch import ClockWatch

ALL_ROLES = frozenset(Role)


def build_worker(
    settings: Settings, roles: Collection[Role] = ALL_ROLES, analyser: AnalyserFactory = FACE_ANALYSER
) -> Worker:
    """A worker with these roles. `analyser` is replaced only by tests that need a picture to fail."""
    shared = SharedComponents(settings)
    pool = open_pool(settings, shared.policy, analyser=analyser) if Role.DETECT in roles else None
    parts: list[RolePart] = []
    if pool is not None:
        parts.append(detect_part(shared, pool))
    if Role.DECIDE in roles:
        parts.append(decide_part(shared))
    if Role.COMMAND in roles:
        parts.append(command_part(shared))
    limit_s = settings.redis.max_clock_difference_s
    watch = ClockWatch(time=shared.time, clock=shared.clock, patience=shared.patience, limit_s=limit_s)
    secrets = partial(agree_on_secrets, settings, open_key_checks(settings, shared.redis))
    eviction, permissions = EvictionWatch(settings.redis), partial(require_commands, settings)
    sessions = shared.sessions.keys
    ours = badge(settings, shared.policy, roles, sessions)
    fleet = open_fleet_watch(settings, ours, shared.redis, shared.time, shared.patience, sessions)
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
                broker_watch(shared.app, shared.patience, settings).run,
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
