"""The topology of a Redis Cluster: which node owns which slot, and the connections to the nodes.

The table is asked for (CLUSTER SLOTS) before the first call, and again when in doubt: after a redirection and after any
failed call. Each time another node is asked, so that no outdated view is kept, and not more often than `ASK_AGAIN_S`:
while a slot is moving or a node is away, every caller doubts the table.

The library's own cluster client was read and not used: it retries behind the caller's deadline, and asks for the
topology anew at each failure of each caller.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Any, TypeAlias

from redis import exceptions
from redis.crc import REDIS_CLUSTER_HASH_SLOTS

from config.errors import SettingsError, Unavailable
from stream.redis.faults import unavailable
from stream.redis.node import Answer, Node

Address: TypeAlias = tuple[str, int]
#: A slot's range and the nodes that hold it, its owner first.
Shard: TypeAlias = tuple[int, int, list[Address]]

ASK_AGAIN_S = 0.5
#: What one node may take of a call's time to answer, so that the next can still be asked.
SHARE_OF_THE_DEADLINE = 1 / 3
NEVER = float("-inf")
DEFAULT_PORT = 6379
NO_CLUSTER = "redis.cluster: this server is not part of a cluster; set LIVENESS_REDIS__CLUSTER=false"


class Topology:
    """Topology, from a connection's options; raises SettingsError for options that can't lead to a cluster."""

    def __init__(self, options: dict[str, Any], call_timeout_s: float) -> None:
        self._options = {name: value for name, value in options.items() if name not in ("host", "port", "db")}
        if options.get("path"):
            raise SettingsError("redis.url: a Redis Cluster is reached over redis:// or rediss://")
        if options.get("db"):
            raise SettingsError("redis.url: a Redis Cluster has no database but 0")
        self._first: Address = (options.get("host", "localhost"), options.get("port", DEFAULT_PORT))
        self._share_s = call_timeout_s * SHARE_OF_THE_DEADLINE
        self._owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._nodes: dict[Address, Node] = {}
        self._to_ask: deque[Address] = deque([self._first])
        self._asking = asyncio.Lock()
        self._in_doubt = True
        self._asked_at = NEVER

    def owner(self, slot: int) -> Address:
        address = self._owners[slot]
        if address is None:
            raise Unavailable("redis", "SlotNotCovered")
        return address

    def owners(self) -> list[Node]:
        """Nodes that own slots; empty before the first table."""
        return [self.node(address) for address in dict.fromkeys(self._owners) if address is not None]

    def node(self, address: Address) -> Node:
        """Node at an address; not connected before the first exchange."""
        if address not in self._nodes:
            self._nodes[address] = Node({**self._options, "host": address[0], "port": address[1]})
        return self._nodes[address]

    def moved(self, slot: int, address: Address) -> None:
        """Note a slot's new owner, learnt from a redirection; more slots have probably moved."""
        self._owners[slot] = address
        self._in_doubt = True

    def doubt(self) -> None:
        self._in_doubt = True

    async def refresh_if_doubted(self) -> None:
        """Ask for the table if in doubt and due; one caller asks, the others wait. May be repeated.

        Raises RedisError or Unavailable when no node answers, SettingsError for a server that is no cluster.
        """
        if not self._due():
            return
        async with self._asking:
            if self._due():
                await self._ask()

    def _due(self) -> bool:
        return self._in_doubt and asyncio.get_running_loop().time() - self._asked_at >= ASK_AGAIN_S

    async def _ask(self) -> None:
        fault: Exception = exceptions.ConnectionError("no node is known")
        for _ in range(len(self._to_ask)):
            self._to_ask.rotate(-1)
            address = self._to_ask[-1]
            try:
                async with asyncio.timeout(self._share_s):
                    (answer,) = await self.node(address).exchange([("CLUSTER", "SLOTS")])
            except TimeoutError:
                fault = exceptions.TimeoutError("no answer")
            except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
                fault = unavailable(error, "")
            else:
                if shards := list(_shards(answer, address[0])):
                    await self._learn(shards)
                    return
                # A node made anew without its disk knows of no cluster; the others still do.
                fault = Unavailable("redis", "SlotNotCovered")
        if self._asked_at != NEVER:  # there is a table: until the next time, calls try their luck with it
            self._asked_at = asyncio.get_running_loop().time()
        raise fault

    async def _learn(self, shards: list[Shard]) -> None:
        self._asked_at = asyncio.get_running_loop().time()
        self._in_doubt = False
        self._owners = [None] * REDIS_CLUSTER_HASH_SLOTS
        known = {self._first: None}
        for first, last, holders in shards:
            self._owners[first : last + 1] = [holders[0]] * (last - first + 1)
            known |= dict.fromkeys(holders)
        self._to_ask = deque(sorted(known, key=lambda address: address == self._to_ask[-1]))
        for address in [address for address in self._nodes if address not in known]:
            await self._nodes.pop(address).retire()

    async def close(self) -> None:
        await asyncio.gather(*(node.close() for node in self._nodes.values()))


def _shards(answer: Answer, asked_host: str) -> Iterator[Shard]:
    """Shards of a CLUSTER SLOTS answer; an empty host stands for the host we connected to."""
    if isinstance(answer, exceptions.ResponseError):
        if "cluster support disabled" in str(answer) or "unknown command" in str(answer).lower():
            raise SettingsError(NO_CLUSTER) from answer
        raise unavailable(answer, "") from answer
    if not isinstance(answer, list):
        raise SettingsError(NO_CLUSTER)
    for shard in answer:
        match shard:
            case [int(first), int(last), *holders]:
                yield first, last, [_address(holder, asked_host) for holder in holders]


def _address(holder: Answer, asked_host: str) -> Address:
    match holder:
        case [bytes(host), int(port), *_] if host not in (b"", b"?"):
            return host.decode(), port
        case [_, int(port), *_]:
            return asked_host, port
    raise SettingsError(NO_CLUSTER)
