"""The decision store on Redis: one `SET key value NX GET` decides the first writer.

The command may be sent again after a lost reply: the second one finds our own value, which is the same answer,
so no script and no counter is needed.

Commands go over the client's connections directly, under one deadline for the whole call. The client's own way
(a retry, a timer and a task a command, metrics nobody reads) takes about 0.2 ms of a submission's processor time
more, and `patience` retries anyway.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import cast

import orjson
import redis.asyncio as redis
from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from config.settings import RedisSettings, SettingsError
from stream.decision_store import StoredDecision, owner_key
from stream.messages import SubmissionIds
from stream.patience import Unavailable

FINGERPRINT_LENGTH = 32
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


class RedisClient(redis.Redis):
    """A client that knows how long one of our calls may take."""

    call_timeout_s: float


def connect(settings: RedisSettings, max_connections: int = 32) -> RedisClient:
    """A client whose connections are for `RedisDecisionStore`; nothing is sent before the first call."""
    pool = redis.ConnectionPool.from_url(
        settings.url.get_secret_value(),
        socket_connect_timeout=settings.call_timeout_s,
        # The call has a deadline; one more for each read and write would cost a timer and a task each.
        socket_timeout=None,
        max_connections=max_connections,
        decode_responses=False,
        client_name="liveness-stream",
    )
    client = cast(RedisClient, RedisClient.from_pool(pool))
    client.call_timeout_s = settings.call_timeout_s
    return client


class RedisDecisionStore:
    def __init__(self, client: RedisClient, key_prefix: str, ttl_s: int) -> None:
        self._client = client
        self._turns = asyncio.Semaphore(client.connection_pool.max_connections)
        self._prefix = key_prefix
        self._ttl_s = ttl_s

    async def find(self, ids: SubmissionIds) -> StoredDecision | None:
        key = self._key(ids)
        held = await self._call("GET", key)
        return None if held is None else _unpack(held, key)

    async def keep_first(self, ids: SubmissionIds, ours: StoredDecision) -> StoredDecision:
        return await self._set_if_new(self._key(ids), ours)

    async def keep_mismatch(self, ids: SubmissionIds, ours: StoredDecision) -> StoredDecision:
        return await self._set_if_new(f"{self._key(ids)}:other:{ours.fingerprint}", ours)

    async def ping(self) -> None:
        # A write of the kind that matters: a replica, a full server or one that is too old answers PING all the same.
        await self._set_if_new(f"{self._prefix}probe", StoredDecision("0" * FINGERPRINT_LENGTH, b"probe"))

    async def close(self) -> None:
        await self._client.aclose()

    async def _set_if_new(self, key: str, ours: StoredDecision) -> StoredDecision:
        held = await self._call("SET", key, _pack(ours), "NX", "GET", "EX", self._ttl_s)
        return ours if held is None else _unpack(held, key)

    async def _call(self, name: str, key: str, *arguments: str | bytes | int) -> object:
        """One command. Callers beyond the number of connections wait their turn, which is no fault of the server's."""
        try:
            async with self._turns, asyncio.timeout(self._client.call_timeout_s):
                return await self._converse((name, key, *arguments))
        except TimeoutError as error:
            raise Unavailable("redis", "TimeoutError") from error
        except RedisError as error:
            raise unavailable(error, key) from error

    async def _converse(self, command: tuple[str | bytes | int, ...]) -> object:
        """A connection that fails or is cut short closes itself, so the next caller never reads a late reply."""
        pool = self._client.connection_pool
        connection = await pool.get_connection()  # type: ignore[no-untyped-call]  # a decorator of the library
        try:
            await connection.send_command(*command)
            return await connection.read_response()
        finally:
            await pool.release(connection)

    def _key(self, ids: SubmissionIds) -> str:
        # Ids come from outside: hashed, they have one length and can't reach into another key; as JSON,
        # no tenant and id read like another tenant and id.
        digest = hashlib.sha256(orjson.dumps(owner_key(ids))).hexdigest()[:40]
        return f"{self._prefix}decision:{{{digest}}}"


def _pack(stored: StoredDecision) -> bytes:
    return stored.fingerprint.encode("ascii") + stored.decision


class ForeignValue(Exception):
    """Something else wrote to a key of ours; the message names the key and what to do."""

    def __init__(self, key: str) -> None:
        super().__init__(f"Redis key {key} holds no decision: delete it, and let nobody else write under its prefix")


def _unpack(held: object, key: str) -> StoredDecision:
    if not isinstance(held, bytes) or len(held) <= FINGERPRINT_LENGTH or not held[:FINGERPRINT_LENGTH].isascii():
        raise ForeignValue(key)
    return StoredDecision(held[:FINGERPRINT_LENGTH].decode("ascii"), held[FINGERPRINT_LENGTH:])


def unavailable(error: RedisError, key: str) -> Unavailable:
    """The slow-down signal for a passing fault. Raises SettingsError for what waiting doesn't mend; anything else
    is a bug and goes on as it is."""
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
