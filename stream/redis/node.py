"""One Redis server: its connections, what its errors mean, and what a round trip is, to one server or to several.

Commands go over the library's connections directly, without its client and pool. The client's own way (a retry, a
timer and a task a command, metrics nobody reads) takes about 0.2 ms of a submission's processor time more, and
`patience` retries anyway.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import hiredis
from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from abuse.redis_port import Command, ForeignValue, Reply
from config.errors import SettingsError, Unavailable

#: An error reply takes its place among the others: what comes behind it is still read.
Answer: TypeAlias = Reply | ResponseError

#: Replies that mean "not now" rather than "never": the server is loading, failing over or out of memory.
_PASSING_REPLIES = frozenset(
    {
        "LOADING",
        "READONLY",
        "MASTERDOWN",
        "CLUSTERDOWN",
        "TRYAGAIN",
        "OOM",
        "BUSY",
        "NOREPLICAS",
        "MISCONF",
    }
)
#: Replies that no waiting mends: the address, the password or the rights are wrong.
_REFUSALS = frozenset({"NOAUTH", "WRONGPASS", "NOPERM", "DENIED"})
#: Options of an address that are for the library's own pools.
_OF_A_POOL = frozenset({"max_connections", "timeout"})
PART_OF_A_CLUSTER = "redis.cluster: this server is part of a cluster; set LIVENESS_REDIS__CLUSTER=true"


def connection_options(url: str, call_timeout_s: float) -> dict[str, Any]:
    """What a connection is made with. The address says where and who; how we speak is ours, whatever it adds.

    Raises SettingsError for an address with options the library doesn't know.
    """
    try:
        told = parse_url(url)
        options = {name: value for name, value in told.items() if name not in _OF_A_POOL} | {
            "socket_connect_timeout": call_timeout_s,
            # The call has a deadline; one more for each read and write would cost a timer and a task each.
            "socket_timeout": None,
            "decode_responses": False,
            # Version 2: replies have one shape on every server, and none comes unasked.
            "protocol": 2,
            "client_name": "liveness-stream",
            # Would cost another round trip a connection, to tell the server the library's name.
            "driver_info": None,
        }
        Node(options).make()
    except (TypeError, ValueError) as error:  # of the texts, neither has a value in it
        raise SettingsError(f"redis.url: {error}") from None
    return options


class Node:
    """The connections of one server. How many there are is the caller's affair: one an exchange under way."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = dict(options)
        self._kind: type[AbstractConnection] = self._options.pop("connection_class", Connection)
        self._idle: list[AbstractConnection] = []
        self._busy: set[AbstractConnection] = set()
        self._closed = False

    def make(self) -> AbstractConnection:
        """A new connection, not connected yet. Raises TypeError for an option that it doesn't know."""
        return self._kind(**self._options)

    async def exchange(self, commands: Sequence[Command]) -> list[Answer]:
        """Write all, read all. Raises RedisError when the connection failed; the caller sets the deadline.

        A connection that fails or is cut short is closed, so that the next caller never reads a late reply.
        """
        connection = self._idle.pop() if self._idle else self.make()
        self._busy.add(connection)
        answers: list[Answer] = []
        try:
            await _ready(connection)
            # The client's own packing takes fifteen times as long.
            packed = b"".join(hiredis.pack_command(command) for command in commands)  # type: ignore[arg-type]  # its stub
            await connection.send_packed_command(packed, check_health=False)
            for _ in commands:
                answers.append(await _answer(connection))  # noqa: PERF401  # those before a fault are wanted
        finally:
            self._busy.discard(connection)
            if len(answers) < len(commands) or self._closed:
                await connection.disconnect(nowait=True)
            else:
                self._idle.append(connection)
        return answers

    async def close(self) -> None:
        """No further exchange finds a connection open; those under way fail."""
        self._closed = True
        open_ones = (*self._idle, *self._busy)
        self._idle.clear()
        await asyncio.gather(*(connection.disconnect() for connection in open_ones), return_exceptions=True)

    async def retire(self) -> None:
        """No more is asked of this server: those under way may still end well."""
        self._closed = True
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)


class RoundTrips(ABC):
    """What the clients of one server and of a cluster share (port: `abuse.redis_port.RedisClient`).

    At most `max_connections` calls are under way; each holds at most one connection to each node.
    """

    def __init__(self, call_timeout_s: float, max_connections: int) -> None:
        self._timeout_s = call_timeout_s
        self._turns = asyncio.Semaphore(max_connections)

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        """Callers beyond the number of connections wait their turn, which is no fault of the server's."""
        if not commands:
            return []
        try:
            async with self._turns, asyncio.timeout(self._timeout_s):
                return replies(commands, await self._answers(commands))
        except TimeoutError as error:
            self._failed()
            raise Unavailable("redis", "TimeoutError") from error
        except Unavailable:
            self._failed()
            raise
        except RedisError as error:
            self._failed()
            raise unavailable(error, "") from error

    @abstractmethod
    async def _answers(self, commands: Sequence[Command]) -> list[Answer]:
        """One answer a command, in their order. Raises RedisError or Unavailable; the deadline is set around it."""

    @abstractmethod
    def _failed(self) -> None:
        """A call got no answer, or one that says to come back."""


async def _ready(connection: AbstractConnection) -> None:
    """Connected, and with nothing left to read: the server may have gone while the connection was idle."""
    if connection.is_connected:
        try:
            if not await connection.can_read():
                return
        except (RedisConnectionError, OSError):
            pass
        await connection.disconnect(nowait=True)
    await connection.connect()  # type: ignore[no-untyped-call]  # the library leaves it untyped


async def _answer(connection: AbstractConnection) -> Answer:
    try:
        reply: Reply = await connection.read_response()
    except ResponseError as error:
        return error
    return reply


def replies(commands: Sequence[Command], answers: list[Answer]) -> list[Reply]:
    """The answers, if none is an error; else raises what the first one means."""
    for command, answer in zip(commands, answers, strict=True):
        if isinstance(answer, ResponseError):
            raise unavailable(answer, key_of(command).decode(errors="replace")) from answer
    return cast(list[Reply], answers)


def unavailable(error: RedisError, key: str) -> Unavailable:
    """The slow-down signal for a passing fault. Raises SettingsError for what waiting doesn't mend, ForeignValue for
    a key of another kind; anything else is a bug and goes on as it is."""
    if isinstance(error, AskError):  # and with it MOVED; whoever knows of the cluster has followed it
        raise SettingsError(PART_OF_A_CLUSTER) from error
    code = _reply_code(error) if isinstance(error, ResponseError) else ""
    if isinstance(error, AuthenticationError | AuthorizationError | NoPermissionError) or code in _REFUSALS:
        raise SettingsError(f"redis.url: Redis refuses this client ({code or type(error).__name__})") from error
    if "WRONGTYPE" in (code, str(error).partition(" ")[0]):
        raise ForeignValue(key) from error
    if code == "ERR" and "syntax" in str(error):
        raise SettingsError("redis.url: Redis 7.0 or newer is needed") from error
    if isinstance(error, RedisConnectionError | RedisTimeoutError) or code in _PASSING_REPLIES:
        return Unavailable("redis", type(error).__name__)
    raise error


def _reply_code(error: ResponseError) -> str:
    """The reply's first word; for kinds of errors it knows, the client has cut it off the text."""
    return error.status_code or str(error).partition(" ")[0]


def key_of(command: Command) -> bytes:
    """The key as the server sees it."""
    key = command[1]
    return key if isinstance(key, bytes) else str(key).encode()
