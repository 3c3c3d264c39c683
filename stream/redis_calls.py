"""The client of Redis that the decision store and the abuse table share (port: `abuse.redis_port`).

Here the one for a single server, and the choice. `redis_cluster_calls` has the other, with `redis_topology`; both build
on `redis_node`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from redis.exceptions import RedisError

from abuse.redis_port import Calls, Command, Reply
from config.settings import RedisSettings
from stream.patience import Unavailable
from stream.redis_cluster_calls import ClusterCalls
from stream.redis_node import Node, connection_options, replies, unavailable
from stream.redis_topology import Topology


def connect(settings: RedisSettings, max_connections: int = 32) -> Calls:
    """A client by the settings; nothing is sent before the first call. Raises SettingsError."""
    options = connection_options(settings.url.get_secret_value(), settings.call_timeout_s)
    if settings.cluster:
        return ClusterCalls(Topology(options, settings.call_timeout_s), settings.call_timeout_s, max_connections)
    return SingleCalls(Node(options), settings.call_timeout_s, max_connections)


class SingleCalls:
    """All commands in one write on one connection, all replies read from it, under one deadline."""

    def __init__(self, node: Node, call_timeout_s: float, max_connections: int) -> None:
        self._node = node
        self._timeout_s = call_timeout_s
        self._turns = asyncio.Semaphore(max_connections)

    async def round_trip(self, commands: Sequence[Command]) -> list[Reply]:
        """Callers beyond the number of connections wait their turn, which is no fault of the server's."""
        if not commands:
            return []
        try:
            async with self._turns, asyncio.timeout(self._timeout_s):
                return replies(commands, await self._node.exchange(commands))
        except TimeoutError as error:
            raise Unavailable("redis", "TimeoutError") from error
        except RedisError as error:
            raise unavailable(error, "") from error

    async def close(self) -> None:
        await self._node.close()
