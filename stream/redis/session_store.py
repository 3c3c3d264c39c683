"""The session store on Redis: a hash a session, each field of which is written by `HSETNX`, and so once.

    session:{TENANT|SESSION_ID}              the session's fields (`stream.sessions.session`)
    sessions-of:{TENANT|CORRELATION_ID}      sorted set, by second of creation: which are the correlation id's
    sessions:{TENANT}                        the same of all the tenant's
    sessions-due:{N}                         sorted set, by when they end unless they have ended

Sets are written before the session, so that an erasure finds every session. Their entries are hints: a reader looks at
the session itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from abuse.event_time import DAY_MS, MS
from abuse.redis_port import Command, RedisClient, Reply, fields_of, reading, texts_of
from abuse.store_record import RebuiltFrom, StoreRecord
from config.policy import Policy
from config.settings import Settings
from stream.sessions.session import CREATED, Fields
from stream.sessions.session_record import SessionRecord, record_from, to_text
from stream.sessions.session_store import PAGE, SessionName, SessionPage, next_cursor, position_of

#: What is written of a session that isn't there goes at once, and after so long if the worker ends before.
STRAY_MS = 600_000
#: Sets of sessions that are due; a sweep looks at all of them.
DUE_PARTS = 16
LONGEST_TOKEN_MS = DAY_MS


def _life_ms(settings: Settings, policy: Policy) -> int:
    return LONGEST_TOKEN_MS + settings.sessions.retention_s * MS


_REBUILT_FROM = (RebuiltFrom.SESSIONS,)
SESSION = StoreRecord(
    name="session",
    holds="sessions: terms, attempts, end",
    life_ms=_life_ms,
    after="it was created, at most",
    rebuilt_from=(RebuiltFrom.SESSIONS, RebuiltFrom.DETECTIONS, RebuiltFrom.DECISIONS),
)
SESSIONS_OF = StoreRecord(
    name="sessions-of",
    holds="which of them are a correlation id's",
    life_ms=_life_ms,
    after="the last of them",
    rebuilt_from=_REBUILT_FROM,
)
SESSIONS = StoreRecord(
    name="sessions",
    holds="which of them are a tenant's",
    life_ms=_life_ms,
    after="the last of them",
    rebuilt_from=_REBUILT_FROM,
)
DUE = StoreRecord(
    name="sessions-due",
    holds="sessions by when they end",
    life_ms=_life_ms,
    after="the last of them was created",
    rebuilt_from=_REBUILT_FROM,
)
RECORDS = (SESSION, SESSIONS_OF, SESSIONS, DUE)


class RedisSessionStore:
    """Adapter of the port `SessionStore`, which says what each method promises. `grace_ms`: a session is due so long
    after its token has expired."""

    def __init__(self, calls: RedisClient, key_prefix: str, retention_s: int, grace_ms: int = 0) -> None:
        self._calls, self._prefix = calls, key_prefix
        self._retention_ms, self._grace_ms = retention_s * MS, grace_ms

    async def create(self, record: SessionRecord, *, age_ms: int = 0) -> Fields:
        name = SessionName(record.tenant, record.session_id)
        key, life_ms = self._key(name), (record.expires_s - record.created_s) * MS + self._retention_ms
        *_, reply = await self._calls.execute(
            [
                *self._listing(name, record, age_ms),
                ("HSETNX", key, CREATED, to_text(record)),
                *_lives(key, life_ms - age_ms),
                ("HGETALL", key),
            ]
        )
        return _fields(key, reply)

    async def read(self, name: SessionName) -> Fields:
        key = self._key(name)
        (reply,) = await self._calls.execute([("HGETALL", key)])
        return _fields(key, reply)

    async def add(self, name: SessionName, fields: Fields) -> Fields:
        key = self._key(name)
        writes: list[Command] = [("HSETNX", key, field, text) for field, text in fields.items()]
        *_, reply = await self._calls.execute([*writes, ("PEXPIRE", key, STRAY_MS, "NX"), ("HGETALL", key)])
        found = _fields(key, reply)
        if CREATED in found:
            return found
        await self._calls.execute([("HDEL", key, *fields)])
        return {}

    async def due(self, now_ms: int, most: int) -> Sequence[SessionName]:
        keys = [DUE.key(self._prefix, number) for number in range(DUE_PARTS)]
        wanted = -(-most // DUE_PARTS)
        replies = await self._calls.execute(
            [("ZRANGE", k, "-inf", now_ms, "BYSCORE", "LIMIT", 0, wanted) for k in keys]
        )
        return [self._due_name(k, text) for k, reply in zip(keys, replies, strict=True) for text in texts_of(reply)]

    async def settle(self, names: Sequence[SessionName]) -> None:
        await self._calls.execute([("ZREM", self._due(name), _member(name)) for name in names])

    async def listed(
        self, tenant: str | None, correlation_id: str | None, *, limit: int, cursor: str | None = None
    ) -> SessionPage:
        at_s, ties = position_of(cursor)
        start = "+inf" if at_s is None else at_s
        index = self._index(tenant, correlation_id)
        found = ("ZRANGE", index, start, "-inf", "BYSCORE", "REV", "LIMIT", ties, limit + 1, "WITHSCORES")
        (reply,) = await self._calls.execute([found])
        entries = [(name, int(float(score))) for name, score in fields_of(reply).items()]
        shown = entries[:limit]
        sessions = await self._read([SessionName(tenant, session_id) for session_id, _ in shown])
        more = len(entries) > limit
        return SessionPage(
            sessions=tuple(fields for fields in sessions if _is_of(fields, correlation_id)),
            next=next_cursor([second for _, second in shown], at_s, ties) if more else None,
        )

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        return len(await self._theirs(tenant, correlation_id))

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        names = await self._theirs(tenant, correlation_id)
        for start in range(0, len(names), PAGE):
            page = names[start : start + PAGE]
            await self._calls.execute([("DEL", self._key(name)) for name in page])
            ids = [name.session_id for name in page]
            await self._calls.execute([("ZREM", self._index(tenant, None), *ids)])
            await self.settle(page)
        await self._calls.execute([("DEL", self._index(tenant, correlation_id))])
        return len(names)

    async def _theirs(self, tenant: str | None, correlation_id: str) -> list[SessionName]:
        """Sessions of the correlation id; a session that another one's command lists is not among them."""
        (reply,) = await self._calls.execute([("ZRANGE", self._index(tenant, correlation_id), 0, -1)])
        names = [SessionName(tenant, session_id) for session_id in texts_of(reply)]
        found: list[SessionName] = []
        for start in range(0, len(names), PAGE):
            page = names[start : start + PAGE]
            held = await self._read(page)
            found += [name for name, fields in zip(page, held, strict=True) if _is_of(fields, correlation_id)]
        return found

    async def _read(self, names: Sequence[SessionName]) -> list[Fields]:
        keys = [self._key(name) for name in names]
        replies = await self._calls.execute([("HGETALL", key) for key in keys])
        return [_fields(key, reply) for key, reply in zip(keys, replies, strict=True)]

    def _listing(self, name: SessionName, record: SessionRecord, age_ms: int) -> list[Command]:
        life_ms = LONGEST_TOKEN_MS + self._retention_ms
        commands: list[Command] = []
        for key in (self._index(name.tenant, record.correlation_id), self._index(name.tenant, None)):
            commands += [
                ("ZADD", key, "GT", record.created_s, name.session_id),
                ("ZREMRANGEBYSCORE", key, "-inf", f"({record.created_s - life_ms // MS}"),
                *_lives(key, life_ms - age_ms),
            ]
        due = self._due(name)
        return [
            *commands,
            ("ZADD", due, "GT", record.expires_ms + self._grace_ms, _member(name)),
            *_lives(due, life_ms - age_ms),
        ]

    def _key(self, name: SessionName) -> str:
        return SESSION.key(self._prefix, name.tenant or "", name.session_id)

    def _index(self, tenant: str | None, correlation_id: str | None) -> str:
        if correlation_id is None:
            return SESSIONS.key(self._prefix, tenant or "")
        return SESSIONS_OF.key(self._prefix, tenant or "", correlation_id)

    def _due(self, name: SessionName) -> str:
        return DUE.key(self._prefix, sum(name.session_id.encode()) % DUE_PARTS)

    @staticmethod
    def _due_name(key: str, member: str) -> SessionName:
        with reading(key):
            tenant, session_id = member.split("|", 1)
        return SessionName(tenant or None, session_id)


def _lives(key: str, life_ms: int) -> list[Command]:
    """Commands for a key's life: the first where the key has none yet, the second where the key's own is shorter."""
    return [("PEXPIRE", key, life_ms, "NX"), ("PEXPIRE", key, life_ms, "GT")]


def _member(name: SessionName) -> str:
    return f"{name.tenant or ''}|{name.session_id}"


def _fields(key: str, reply: Reply) -> Fields:
    with reading(key):
        return fields_of(reply)


def _is_of(fields: Fields, correlation_id: str | None) -> bool:
    if CREATED not in fields:
        return False
    return correlation_id is None or record_from(fields[CREATED]).correlation_id == correlation_id
