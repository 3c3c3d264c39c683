"""The start-up look at Redis, on one server and on every node of a cluster."""

from __future__ import annotations

import pytest

from config.errors import SettingsError
from config.settings import Settings
from stream.redis.client import each_server
from stream.redis.eviction import EvictionWatch
from stream.redis.permissions import require_commands
from tests.contract.redis_servers import REDIS, RedisServer

EMBEDDED, _, CLUSTER = REDIS

HASH_KEYS = [{"id": "k1", "secret": "1" * 32}]


def settings(server: RedisServer) -> Settings:
    wanted = {"url": server.url, "cluster": server.cluster, "key_prefix": server.prefix, "call_timeout_s": 20}
    return Settings(redis=wanted, abuse={"hash_keys": HASH_KEYS})


async def test_each_server_is_found_fit(redis_server):
    await require_commands(settings(redis_server))
    await EvictionWatch(settings(redis_server).redis).check()
    assert await redis_server.keys() == []


@pytest.mark.parametrize("redis_server", [EMBEDDED, CLUSTER], indirect=True)  # no server that others use
@pytest.mark.parametrize(
    ("command", "undone", "words"),
    [
        (("CONFIG", "SET", "maxmemory-policy", "volatile-lru"), "noeviction", "maxmemory-policy is volatile-lru"),
        (("ACL", "SETUSER", "default", "-vsim"), "+vsim", "may not run VSIM"),
    ],
)
async def test_last_server_is_not_fit(redis_server, command, undone, words):
    wanted = settings(redis_server)
    async with each_server(wanted.redis) as servers:
        last = servers[-1]
        await last.execute([("CONFIG", "SET", "maxmemory", 500_000_000), command])
        try:
            with pytest.raises(SettingsError, match=words):
                await _look(wanted)
        finally:
            await last.execute([("CONFIG", "SET", "maxmemory", 0), (*command[:-1], undone)])


async def _look(wanted: Settings) -> None:
    await require_commands(wanted)
    await EvictionWatch(wanted.redis).check()
