"""The client of a Redis Cluster: each command goes to the node that owns its key, also while a slot moves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redis.crc import key_slot
from redis.exceptions import AskError, MovedError

from abuse.redis_port import Command
from config.errors import SettingsError, Unavailable
from stream.redis.marker import MarkerGuard
from stream.redis.node import Answer, TimedClient, key_of
from stream.redis.topology import Address, Topology

#: Redirections followed in one call. One leads to the owner, two when a slot arrived while we were told it is on its
#: way; more means that the nodes disagree, which passes.
MOST_HOPS = 5
ASKING: Command = ("ASKING",)


@dataclass(frozen=True, slots=True)
class Route:
    """Node a command goes to. `asking`: a slot is being moved there, and the key is no longer at the old node."""

    address: Address
    asking: bool = False


class ClusterClient(TimedClient):
    """Client of a cluster: a node's commands in one write, all nodes in parallel, one deadline for all."""

    def __init__(
        self, topology: Topology, call_timeout_s: float, max_connections: int, guard: MarkerGuard | None = None
    ) -> None:
        super().__init__(call_timeout_s, max_connections, guard)
        self._topology = topology
        self._markers = [(key, key_slot(key.encode())) for key in guard.keys] if guard else []

    async def close(self) -> None:
        await self._topology.close()

    async def _failed(self) -> None:
        self._topology.doubt()

    def _may_be_of_one(self, error: Exception) -> bool:
        """As on a single server, or of a node that not all calls go to."""
        return not isinstance(error, SettingsError)

    async def _answers(self, commands: Sequence[Command]) -> list[Answer]:
        await self._topology.refresh_if_doubted()
        answers: list[Answer] = [None] * len(commands)
        routes: dict[Route, list[int]] = {}
        for number, command in enumerate(commands):
            owner = self._topology.owner(key_slot(key_of(command)))
            routes.setdefault(Route(owner), []).append(number)
        for _ in range(MOST_HOPS):
            onward: dict[Route, list[int]] = {}
            for (route, numbers), told in zip(routes.items(), await self._ask_all(routes, commands), strict=True):
                for number, answer in zip(numbers, told, strict=True):
                    if isinstance(answer, AskError):  # MOVED is one too
                        onward.setdefault(self._redirected(answer, route), []).append(number)
                    else:
                        answers[number] = answer
            if not onward:
                return answers
            routes = onward
        raise Unavailable("redis", "TooManyRedirections")

    async def _ask_all(self, routes: Mapping[Route, list[int]], commands: Sequence[Command]) -> list[list[Answer]]:
        """Answers by route. If a node fails, the others are still waited for: one cut short costs a connection."""
        calls = [self._ask(route, [commands[number] for number in numbers]) for route, numbers in routes.items()]
        if len(calls) == 1:
            return [await calls[0]]
        told: list[list[Answer]] = []
        for each in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(each, BaseException):
                raise each
            told.append(each)
        return told

    async def _ask(self, route: Route, commands: list[Command]) -> list[Answer]:
        node, marker = self._topology.node(route.address), self._marker_at(route.address)
        try:
            if not route.asking:
                return await self._exchange(node, commands, marker)
            # ASKING holds for the one command behind it.
            told = await self._exchange(node, [each for command in commands for each in (ASKING, command)], marker)
            return told[1::2]
        except AskError as error:  # the marker's own slot is moving: the next call asks for another
            self._redirected(error, route)
            raise Unavailable("redis", "a slot is moving") from error

    def _marker_at(self, address: Address) -> str | None:
        """Key of one of the node's markers, by chance; None where the node has none."""
        first = random.randrange(len(self._markers) or 1)  # noqa: S311  # no secret
        places = (*self._markers[first:], *self._markers[:first])
        return next((key for key, slot in places if self._topology.owner(slot) == address), None)

    def _redirected(self, answer: AskError, route: Route) -> Route:
        """Route that a redirection names; an empty host stands for the host we connected to."""
        address = (answer.host or route.address[0], answer.port)
        if not isinstance(answer, MovedError):
            return Route(address, asking=True)
        self._topology.moved(answer.slot_id, address)
        return Route(address)
