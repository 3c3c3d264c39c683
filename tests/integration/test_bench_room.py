"""Keys of a benchmark are gone afterwards: from a real server, and from every node of a cluster."""

from __future__ import annotations

import asyncio

import pytest

from abuse.redis_port import Command, Reply
from config.groups.services import RedisSettings
from stream.bench.redis_room import SCAN_COUNT, room
from stream.redis.client import connect
from tests.e2e.cluster import RedisCluster
from tests.services.choice import Services

#: More than one page of a scan on each of three nodes.
KEYS = 8 * SCAN_COUNT


def asked(settings: RedisSettings, commands: list[Command]) -> list[Reply]:
    async def ask() -> list[Reply]:
        calls = connect(settings)
        try:
            return await calls.execute(commands)
        finally:
            await calls.close()

    return asyncio.run(ask())


def there(settings: RedisSettings, prefix: str) -> int:
    return asked(settings, [("EXISTS", f"{prefix}{number}") for number in range(KEYS)]).count(1)


def nothing_stays(settings: RedisSettings) -> None:
    with room(settings, lambda _: None) as prefix:
        asked(settings, [("SET", f"{prefix}{number}", b"1", "EX", 300) for number in range(KEYS)])
        assert there(settings, prefix) == KEYS
    assert there(settings, prefix) == 0


@pytest.mark.real
def test_one_server(services: Services) -> None:
    url = services.environment["LIVENESS_REDIS__URL"]
    nothing_stays(RedisSettings(url=url, call_timeout_s=20))


@pytest.mark.local_services
def test_every_node_of_cluster(redis_cluster: RedisCluster) -> None:
    nothing_stays(RedisSettings(url=redis_cluster.url, call_timeout_s=20, cluster=True))
