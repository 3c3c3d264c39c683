"""The node: connections of one Redis server, and the client's common part.

Commands go over the library's connections directly. Its own client and pool (a retry, a timer and a task a command,
metrics) take about 0.2 ms of a submission's processor time more, and `RetryPolicy` retries anyway.
"""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias, TypeVar, cast

import hiredis
from redis import exceptions
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    parse_url,
)
from redis.exceptions import RedisError, ResponseError

from abuse.redis_port import Command, Reply
from config.errors import SettingsError, Unavailable
from config.groups.services import RedisSettings
from config.tls import client_context
from stream.redis.faults import HungUp, NoHandshake, is_known_to_pass, is_passing, not_shaken, unavailable
from stream.redis.marker import MarkerGuard, last_look

T = TypeVar("T")

#: An error reply takes its place among the others: what comes behind it is still read.
Answer: TypeAlias = Reply | ResponseError

#: Options of an address that are for the library's own pools.
_OF_A_POOL = frozenset({"max_connections", "timeout"})
#: Words of the library for a server that hung up.
CLOSED = "Connection closed by server"
#: Share of a call's time that a new connection may take.
CONNECT_SHARE = 0.8
#: Commands from which an exchange takes in no further call.
FULL = 1000
#: Types of replies under protocol 2. What else comes is looked at one by one for errors.
_OF_REPLIES = frozenset({bytes, int, list, type(None)})


class TlsConnection(SSLConnection):
    """Connection with the process's own TLS context: the library makes one for each connection, and trusts the
    machine's authorities beside those that were named."""

    def __init__(self, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = context


@cache
def _context(settings: RedisSettings) -> ssl.SSLContext:
    return client_context(settings, "redis", verify=settings.ssl_verify)


def _login(settings: RedisSettings) -> dict[str, Any]:
    """Options for TLS, and the user and password where these are not in the address."""
    given: dict[str, Any] = {}
    if settings.password is not None:
        given = {"username": settings.username, "password": settings.password.get_secret_value()}
    if settings.has_tls:
        given |= {"connection_class": TlsConnection, "context": _context(settings)}
    return given


def connection_options(settings: RedisSettings) -> dict[str, Any]:
    """Options of a connection: server and user by the settings; how we speak is ours, whatever the address adds.

    Raises SettingsError for an address with options the library doesn't know.
    """
    try:
        told = {**parse_url(settings.url.get_secret_value()), **_login(settings)}
        options = {name: value for name, value in told.items() if name not in _OF_A_POOL} | {
            # Before the call's own deadline, so that a fault of the connection is told as one.
            "socket_connect_timeout": settings.call_timeout_s * CONNECT_SHARE,
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
        #: Counts the times when the server turned out not to be the one to ask.
        self._turn = 0

    def make(self) -> AbstractConnection:
        """New connection, not connected yet. Raises TypeError for an unknown option."""
        return self._kind(**self._options)

    async def exchange(self, commands: Sequence[Command]) -> list[Answer]:
        """Answers to all commands, by one write. Raises RedisError for a failed connection; callers set the deadline.

        A connection that fails or is cut short is closed, so that the next caller never reads a late reply. An answer
        that means "not now" closes all of them: after a failover the old primary keeps its connections and answers on
        as a replica, and only a new connection looks the address up again.
        """
        connection, turn = self._idle.pop() if self._idle else self.make(), self._turn
        self._busy.add(connection)
        answers: list[Answer] = []
        try:
            await _ready(connection)
            # The client's own packing takes fifteen times as long.
            packed = b"".join(map(hiredis.pack_command, commands))  # type: ignore[arg-type]  # its stub
            await connection.send_packed_command(packed, check_health=False)
            answers = await _read(connection, len(commands))
            if any(map(is_passing, _errors(answers))):
                await self.leave()
        finally:
            self._busy.discard(connection)
            if len(answers) < len(commands) or self._closed or turn != self._turn:
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
        await self.leave()

    async def leave(self) -> None:
        """Close idle connections now, and those of exchanges under way at their end: the next looks the address up."""
        self._turn += 1
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that waits for its answers."""

    commands: Sequence[Command]
    answers: asyncio.Future[list[Answer]]


class TimedClient(ABC):
    """Client with one deadline an exchange: what single server and cluster share (port:
    `abuse.redis_port.RedisClient`).

    Calls made in one turn of the event loop share an exchange: one write, one wait, one look at the marker. A
    caller that gives up ends nobody else's call.

    At most `max_connections` exchanges are under way; each holds at most one connection to each node.
    """

    def __init__(self, call_timeout_s: float, max_connections: int, guard: MarkerGuard | None = None) -> None:
        self._timeout_s, self._guard = call_timeout_s, guard
        self._turns = asyncio.Semaphore(max_connections)
        self._waiting: list[_Call] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        """Replies, as the port says. The wait for a turn doesn't count towards the deadline."""
        return await self._timed(commands, replies)

    async def ask(self, commands: Sequence[Command]) -> list[Answer]:
        """Answers to questions that the server may refuse: refusals are among the answers. Called by start-up checks.

        Raises Unavailable, and SettingsError where the server takes no connection of ours.
        """
        return await self._timed(commands, _unless_passing)

    async def _timed(self, commands: Sequence[Command], read: Callable[[Sequence[Command], list[Answer]], T]) -> T:
        if not commands:
            return read(commands, [])
        if self._guard is not None:
            self._guard.require_found()
        answers = await self._together(commands)
        try:
            return read(commands, answers)
        except Unavailable:
            await self._failed()
            raise

    async def _together(self, commands: Sequence[Command]) -> list[Answer]:
        """Answers to the commands of a call, sent along with the other calls of this turn of the event loop."""
        loop = asyncio.get_running_loop()
        call = _Call(commands, loop.create_future())
        if not self._waiting:
            loop.call_soon(self._send)
        self._waiting.append(call)
        return await call.answers

    def _send(self) -> None:
        calls, self._waiting = self._waiting, []
        for shared in _exchanges(calls):
            self._begin(shared)

    def _begin(self, calls: Sequence[_Call]) -> None:
        task = asyncio.create_task(self._carry_out(calls))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _carry_out(self, calls: Sequence[_Call]) -> None:
        """The answers to each call, or the fault that all of them share; calls go on alone where one of them may have
        brought about the fault."""
        try:
            answers = await self._within_time([command for call in calls for command in call.commands])
        except BaseException as error:
            if len(calls) > 1 and isinstance(error, Exception) and self._may_be_of_one(error):
                for call in calls:
                    if not call.answers.done():
                        self._begin([call])
                return
            fault = error if isinstance(error, Exception) else Unavailable("redis", type(error).__name__)
            for call in calls:
                if not call.answers.done():
                    call.answers.set_exception(fault)
            if fault is not error:
                raise
            return
        for call in calls:
            own, answers = answers[: len(call.commands)], answers[len(call.commands) :]
            if not call.answers.done():  # else its caller has given up
                call.answers.set_result(own)

    async def _within_time(self, commands: Sequence[Command]) -> list[Answer]:
        try:
            async with self._turns, asyncio.timeout(self._timeout_s):
                return await self._answers(commands)
        except TimeoutError as error:
            await self._failed()
            raise Unavailable("redis", "TimeoutError") from error
        except Unavailable:
            await self._failed()
            raise
        except RedisError as error:
            if is_passing(error):
                await self._failed()
            raise unavailable(error, "") from error

    async def _exchange(self, node: Node, commands: Sequence[Command], marker: str | None) -> list[Answer]:
        """Answers of one node, with the marker asked for behind them, in the same write. Raises Unavailable where the
        marker isn't the installation's: then none of the answers counts."""
        if self._guard is None or marker is None:
            return await node.exchange(commands)
        *answers, found, look = await node.exchange([*commands, ("GET", marker), last_look(marker)])
        for each in (found, look):
            if isinstance(each, ResponseError):
                raise each
        self._guard.require(marker, cast(Reply, found), cast(Reply, look))
        return answers

    def _may_be_of_one(self, error: Exception) -> bool:
        """Whether the fault of an exchange may be that of one call and not of the others: one that can't be sent."""
        return not isinstance(error, Unavailable | SettingsError)

    @abstractmethod
    async def _answers(self, commands: Sequence[Command]) -> list[Answer]:
        """Answers to the commands, in their order. Raises RedisError or Unavailable; the caller sets the deadline."""

    @abstractmethod
    async def _failed(self) -> None:
        """Called when a call got no answer, or an answer that means "later"."""


def _exchanges(calls: Sequence[_Call]) -> list[list[_Call]]:
    """The calls in their order, as many in each exchange as fill it; a call that fills one alone has its own, so that
    small calls don't wait for it."""
    shared: list[list[_Call]] = []
    held = FULL
    for call in calls:
        if held >= FULL or len(call.commands) >= FULL:
            shared.append([])
            held = 0
        shared[-1].append(call)
        held += len(call.commands)
    return shared


async def _ready(connection: AbstractConnection) -> None:
    """Connect, unless connected with no bytes left to read: the server may have gone while the connection was idle."""
    if connection.is_connected:
        try:
            if not await connection.can_read():
                return
        except (exceptions.ConnectionError, OSError):
            pass
        await connection.disconnect(nowait=True)
    try:
        await connection.connect()  # type: ignore[no-untyped-call]  # the library leaves it untyped
    except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
        if isinstance(connection, SSLConnection) and not_shaken(error):
            raise NoHandshake from error
        if isinstance(connection, SSLConnection) and CLOSED in str(error):
            raise HungUp from error
        raise


async def _read(connection: AbstractConnection, count: int) -> list[Answer]:
    """Answers to so many commands, read as if the server had sent one array: the library makes a dozen calls for each
    reply that it is asked for. Raises RedisError for a failed connection, and for an answer that says as much."""
    reader: hiredis.Reader = cast(Any, connection)._parser._reader  # there is no other way to it
    reader.feed(b"*%d\r\n" % count)
    answers: list[Answer] = await connection.read_response()
    for fault in _errors(answers):
        if not isinstance(fault, ResponseError):
            raise fault
    return answers


def _errors(answers: Sequence[Answer]) -> list[RedisError]:
    """The errors among answers. Of the hundreds to a submission usually none is one, which takes no call for each.
    Errors within a list come of transactions and scripts alone, which no command here is (`permissions`)."""
    if _OF_REPLIES.issuperset(map(type, answers)):
        return []
    return [answer for answer in answers if isinstance(answer, RedisError)]


def replies(commands: Sequence[Command], answers: list[Answer]) -> list[Reply]:
    """Replies to the commands; raises what the first error among the answers means."""
    for command, answer in zip(commands, answers, strict=True) if _errors(answers) else ():
        if isinstance(answer, ResponseError):
            raise unavailable(answer, key_of(command).decode(errors="replace")) from answer
    return cast(list[Reply], answers)


def _unless_passing(_commands: Sequence[Command], answers: list[Answer]) -> list[Answer]:
    for answer in answers:
        if isinstance(answer, ResponseError) and is_known_to_pass(answer):
            raise unavailable(answer, "")
    return answers


def key_of(command: Command) -> bytes:
    """Key of a command, as the server sees it; empty for a command without one, which on a cluster goes to slot 0."""
    key = command[1] if len(command) > 1 else b""
    return key if isinstance(key, bytes) else str(key).encode()
