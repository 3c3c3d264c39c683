"""The Redis client that the decision store and the abuse table share (port: `abuse.redis_port`).

Here the client of a single server, and the choice. `cluster` has the other, with `topology`; both build on `node`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from redis.exceptions import RedisError

from abuse.redis_port import Command, RedisClient
from config.groups.services import RedisSettings
from stream.redis.cluster import ClusterClient
from stream.redis.faults import unavailable
from stream.redis.marker import MarkerGuard
from stream.redis.node import Answer, Node, TimedClient, connection_options
from stream.redis.topology import Topology


def connect(settings: RedisSettings, max_connections: int = 32, guard: MarkerGuard | None = None) -> RedisClient:
    """Client by the settings; nothing is sent before the first call. Raises SettingsError.

    With a guard, no call is answered by a Redis that lost its content.
    """
    options = connection_options(settings)
    if settings.cluster:
        topology = Topology(options, settings.call_timeout_s)
        return ClusterClient(topology, settings.call_timeout_s, max_connections, guard)
    return SingleServerClient(Node(options), settings.call_timeout_s, max_connections, guard)


@asynccontextmanager
async def each_server(settings: RedisSettings, max_connections: int = 1) -> AsyncIterator[list[SingleServerClient]]:
    """Client of each server that owns keys, for commands that are about a server and not about a key (SCAN).

    Raises SettingsError, `config.errors.Unavailable`.
    """
    timeout_s = settings.call_timeout_s
    options = connection_options(settings)
    if not settings.cluster:
        calls = SingleServerClient(Node(options), timeout_s, max_connections)
        try:
            yield [calls]
        finally:
            await calls.close()
        return
    topology = Topology(options, timeout_s)
    try:
        try:
            await topology.refresh_if_doubted()
        except RedisError as error:
            raise unavailable(error, "") from error
        yield [SingleServerClient(node, timeout_s, max_connections) for node in topology.owners()]
    finally:
        await topology.close()


class SingleServerClient(TimedClient):
    """Client of one server: all commands in one write on one connection, then all replies."""

    def __init__(
        self, node: Node, call_timeout_s: float, max_connections: int, guard: MarkerGuard | None = None
    ) -> None:
        super().__init__(call_timeout_s, max_connections, guard)
        self._node = node

    async def close(self) -> None:
        await self._node.close()

    async def _answers(self, commands: Sequence[Command]) -> list[Answer]:
        return await self._exchange(self._node, commands, self._guard.keys[0] if self._guard else None)

    async def _failed(self) -> None:
        await self._node.leave()
