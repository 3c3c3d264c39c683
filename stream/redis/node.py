"""The node: connections of one Redis server, the meaning of its errors, and the client's common part.

Commands go over the library's connections directly. Its own client and pool (a retry, a timer and a task a command,
metrics) take about 0.2 ms of a submission's processor time more, and `RetryPolicy` retries anyway.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import hiredis
from redis import exceptions
from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.exceptions import RedisError, ResponseError

from abuse.redis_port import Command, ForeignValue, Reply
from config.errors import SettingsError, Unavailable

#: An error reply takes its place among the others: what comes behind it is still read.
Answer: TypeAlias = Reply | ResponseError

#: Replies that mean "not now" rather than "never": the server is loading, failing over or out of memory.
_PASSING_REPLIES = frozenset(
    {"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "OOM", "BUSY", "NOREPLICAS", "MISCONF"}
)
#: Replies that no waiting mends: the address, the password or the rights are wrong.
_REFUSALS = frozenset({"NOAUTH", "WRONGPASS", "NOPERM", "DENIED"})
#: Options of an address that are for the library's own pools.
_OF_A_POOL = frozenset({"max_connections", "timeout"})
PART_OF_A_CLUSTER = "redis.cluster: this server is part of a cluster; set LIVENESS_REDIS__CLUSTER=true"


def connection_options(url: str, call_timeout_s: float) -> dict[str, Any]:
    """Options of a connection: server and user by the address; how we speak is ours, whatever the address adds.

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
    except (TypeError, ValueError) as error:  # neither text quotes a value
        raise SettingsError(f"redis.url: {error}") from None
    return options


class Node:
    """Connections of one server, one for each exchange under way; the caller bounds their number."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = dict(options)
        self._kind: type[AbstractConnection] = self._options.pop("connection_class", Connection)
        self._idle: list[AbstractConnection] = []
        self._busy: set[AbstractConnection] = set()
        self._closed = False

    def make(self) -> AbstractConnection:
        """New connection, not connected yet. Raises TypeError for an unknown option."""
        return self._kind(**self._options)

    async def exchange(self, commands: Sequence[Command]) -> list[Answer]:
        """Answers to all commands, by one write. Raises RedisError for a failed connection; callers set the deadline.

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
        """Close all connections; exchanges under way fail. May be repeated."""
        self._closed = True
        open_ones = (*self._idle, *self._busy)
        self._idle.clear()
        await asyncio.gather(*(connection.disconnect() for connection in open_ones), return_exceptions=True)

    async def retire(self) -> None:
        """Close idle connections; exchanges under way may still end well."""
        self._closed = True
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)


class TimedClient(ABC):
    """Client with one deadline a call: what single server and cluster share (port: `abuse.redis_port.RedisClient`).

    At most `max_connections` calls are under way; each holds at most one connection to each node.
    """

    def __init__(self, call_timeout_s: float, max_connections: int) -> None:
        self._timeout_s = call_timeout_s
        self._turns = asyncio.Semaphore(max_connections)

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        """Replies, as the port says. The wait for a turn doesn't count towards the deadline."""
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
        """Answers to the commands, in their order. Raises RedisError or Unavailable; the caller sets the deadline."""

    @abstractmethod
    def _failed(self) -> None:
        """Called when a call got no answer, or an answer that means "later"."""


async def _ready(connection: AbstractConnection) -> None:
    """Connect, unless connected with no bytes left to read: the server may have gone while the connection was idle."""
    if connection.is_connected:
        try:
            if not await connection.can_read():
                return
        except (exceptions.ConnectionError, OSError):
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
    """Replies to the commands; raises what the first error among the answers means."""
    for command, answer in zip(commands, answers, strict=True):
        if isinstance(answer, ResponseError):
            raise unavailable(answer, key_of(command).decode(errors="replace")) from answer
    return cast(list[Reply], answers)


def unavailable(error: RedisError, key: str) -> Unavailable:
    """Slow-down signal for a passing fault.

    Raises SettingsError for a fault that waiting doesn't mend, ForeignValue for a key of another kind; any other error
    is a bug and raised as it is.
    """
    if isinstance(error, exceptions.AskError):  # MOVED is one too; a cluster's client has followed both
        raise SettingsError(PART_OF_A_CLUSTER) from error
    code = _reply_code(error) if isinstance(error, ResponseError) else ""
    if (
        isinstance(error, exceptions.AuthenticationError | exceptions.AuthorizationError | exceptions.NoPermissionError)
        or code in _REFUSALS
    ):
        raise SettingsError(f"redis.url: Redis refuses this client ({code or type(error).__name__})") from error
    if "WRONGTYPE" in (code, str(error).partition(" ")[0]):
        raise ForeignValue(key) from error
    if code == "ERR" and "syntax" in str(error):
        raise SettingsError("redis.url: Redis 7.0 or newer is needed") from error
    if isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError) or code in _PASSING_REPLIES:
        return Unavailable("redis", type(error).__name__)
    raise error


def _reply_code(error: ResponseError) -> str:
    """First word of an error reply; the library cuts it off the text of errors that the library knows."""
    return error.status_code or str(error).partition(" ")[0]


def key_of(command: Command) -> bytes:
    """Key of a command, as the server sees it; empty for a command without one, which on a cluster goes to slot 0."""
    key = command[1] if len(command) > 1 else b""
    return key if isinstance(key, bytes) else str(key).encode()
