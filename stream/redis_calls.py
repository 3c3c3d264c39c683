"""The client of Redis that the decision store and the abuse table share (port: `abuse.redis_port`).

Here the one for a single server, and the choice. `redis_cluster_calls` has the other, with `redis_topology`; both build
on `redis_node`.
"""

from __future__ import annotations

from collections.abc import Sequence

from abuse.redis_port import Calls, Command
from config.settings import RedisSettings
from stream.redis_cluster_calls import ClusterCalls
from stream.redis_node import Answer, Node, RoundTrips, connection_options
from stream.redis_topology import Topology


def connect(settings: RedisSettings, max_connections: int = 32) -> Calls:
    """A client by the settings; nothing is sent before the first call. Raises SettingsError."""
    options = connection_options(settings.url.get_secret_value(), settings.call_timeout_s)
    if settings.cluster:
        return ClusterCalls(Topology(options, settings.call_timeout_s), settings.call_timeout_s, max_connections)
    return SingleCalls(Node(options), settings.call_timeout_s, max_connections)


class SingleCalls(RoundTrips):
    """All commands in one write on one connection, all replies read from it."""

    def __init__(self, node: Node, call_timeout_s: float, max_connections: int) -> None:
        super().__init__(call_timeout_s, max_connections)
        self._node = node

    async def close(self) -> None:
        await self._node.close()

    async def _answers(self, commands: Sequence[Command]) -> list[Answer]:
        return await self._node.exchange(commands)

    def _failed(self) -> None:
        """There is nothing to doubt: the server has one address."""
