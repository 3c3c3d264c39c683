"""Start-up checks of Redis: a whole worker, of any role, has them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import redis

from config.errors import SettingsError
from config.settings import Settings
from stream.bootstrap.worker import build_worker
from stream.kafka.worker.worker import Check, Role


async def _all(checks: Sequence[Check]) -> None:
    for check in checks:
        await check()


@pytest.mark.parametrize("role", [Role.DECIDE, Role.COMMAND])
@pytest.mark.parametrize(
    ("command", "undone", "words"),
    [
        (("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"), ("noeviction",), "maxmemory-policy is allkeys-lru"),
        (("ACL", "SETUSER", "default", "-getex"), ("+getex",), "may not run GETEX"),
    ],
)
async def test_worker_is_refused(empty_redis, role, command, undone, words):
    worker = build_worker(Settings(redis={"url": empty_redis, "call_timeout_s": 10}, kafka={"embedded": True}), {role})
    components = worker._components
    with redis.Redis.from_url(empty_redis) as operator:
        operator.config_set("maxmemory", 500_000_000)
        operator.execute_command(*command)
        try:
            with pytest.raises(SettingsError, match=words):
                await _all(components.checks)
        finally:
            operator.execute_command(*command[:-1], *undone)
            operator.config_set("maxmemory", 0)
    assert bool(components.troubles()) == ("maxmemory" in words)
    assert worker.state().troubles == components.troubles()
    for closing in components.closings:
        await closing()
