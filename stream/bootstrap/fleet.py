"""The fleet's components: the badge of a worker with these settings, and where badges are left."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
from collections.abc import Collection, Sequence
from dataclasses import replace

from abuse.keys.key_checks import check_value
from abuse.keys.key_periods import HashKey
from abuse.redis_port import RedisClient
from abuse.store_time import RedisTime, StoreTime
from config.policy import Policy
from config.settings import Settings
from stream.bootstrap.abuse import hash_keys
from stream.bootstrap.authentication import record_keys, unsigned_until_ms
from stream.encryption.key_folder import SessionKeys
from stream.kafka.worker.worker import Role
from stream.redis.client import connect
from stream.redis.roll_call import RedisRollCall
from stream.runtime.fleet import Badge, KeyMark
from stream.runtime.fleet_watch import FleetWatch
from stream.runtime.patience import RetryPolicy
from stream.runtime.release import release

#: Roles whose stages hash, transform or compare with the hash keys.
HASHING = frozenset({Role.DETECT, Role.DECIDE})
#: Roles whose stages check or sign tokens of sessions.
WITH_TOKENS = frozenset({Role.DETECT, Role.COMMAND})
DIGITS = 12


def badge(settings: Settings, policy: Policy, roles: Collection[Role], sessions: SessionKeys | None = None) -> Badge:
    """Badge of a worker that begins now; its time is set when it is left. `sessions`: None where these are off."""
    rules = json.dumps(policy.abuse.model_dump(mode="json"), sort_keys=True).encode()
    return Badge(
        name=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}",
        began_ms=0,
        roles=tuple(sorted(roles)),
        key_prefix=settings.redis_prefix,
        topic_prefix=settings.kafka.topic_prefix,
        hash_keys=_marks(hash_keys(settings)) if HASHING & set(roles) else None,
        policy=f"{policy.name} {policy.sha256[:DIGITS]}",
        rules=hashlib.sha256(rules).hexdigest()[:DIGITS],
        release=release(),
        record_keys=_marks(record_keys(settings)),
        unsigned_until_ms=unsigned_until_ms(settings),
        signatures=_signatures(settings) if Role.COMMAND in roles else None,
        session_keys=session_marks(sessions) if WITH_TOKENS & set(roles) else None,
    )


def session_marks(sessions: SessionKeys | None) -> tuple[KeyMark, ...]:
    """Marks of the keys in the folder as last looked at, by a digest of the public half."""
    keys = () if sessions is None else filter(None, map(sessions.get, sessions.kids))
    return tuple(
        KeyMark(since_ms=0, id=key.kid, check=hashlib.sha256(key.public.encode()).hexdigest()[:DIGITS]) for key in keys
    )


def _signatures(settings: Settings) -> str:
    if settings.commands.require_signature:
        return "required"
    return "off" if settings.commands.reviewers is None else "checked"


def _marks(keys: Sequence[HashKey]) -> tuple[KeyMark, ...]:
    return tuple(sorted(KeyMark(id=key.id, check=check_value(key), since_ms=key.since_ms) for key in keys))


def open_fleet_watch(
    settings: Settings,
    ours: Badge,
    calls: RedisClient,
    time: StoreTime,
    patience: RetryPolicy,
    sessions: SessionKeys | None = None,
) -> FleetWatch:
    """Watch of a worker with this badge, which follows the folder of session keys."""

    def renewed(badge: Badge) -> Badge:
        return badge if badge.session_keys is None else replace(badge, session_keys=session_marks(sessions))

    return FleetWatch(RedisRollCall(calls, settings.group_id, time), ours, time, patience, renewed)


async def look_at_fleet(settings: Settings) -> tuple[Sequence[Badge], int]:
    """Living workers of the consumer group, and the store's time. Raises Unavailable, SettingsError."""
    calls = connect(settings.redis)
    time = RedisTime(calls)
    try:
        return await RedisRollCall(calls, settings.group_id, time).living(), await time.now_ms()
    finally:
        await calls.close()
