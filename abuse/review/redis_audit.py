"""Audit chain and command log on Redis: the first writer of a key wins.

audit-head             where to look for the end of the chain; may lag behind
audit:{CHAIN NUMBER}   one entry
command:{HASH}         what a command is going to do, then its answer
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import orjson

from abuse.event_time import MS
from abuse.redis_port import RedisClient, Reply, reading
from abuse.review.audit import CommandKey, Head, command_of, head_after, sealed
from abuse.store_record import Erasing, Personal, RebuiltFrom, StoreRecord

#: Longer than a command can be read again.
ENTRY_TTL_S = 40 * 86_400
HEAD_TTL_S = 400 * 86_400

_kept = partial(StoreRecord, life_ms=ENTRY_TTL_S * MS, after="the command", erasing=Erasing.KEPT)
_FROM_AUDIT = (RebuiltFrom.AUDIT,)
AUDIT = _kept(name="abuse:audit", holds="audit entries, for the chain")
AUDIT_HEAD = StoreRecord(
    name="abuse:audit-head",
    holds="where the chain ends",
    personal=Personal.NONE,
    life_ms=HEAD_TTL_S * MS,
    after="the last command",
    rebuilt_from=_FROM_AUDIT,
)
COMMAND = _kept(name="abuse:command", holds="what a command does or did, for repeats", rebuilt_from=_FROM_AUDIT)
RECORDS = (AUDIT, AUDIT_HEAD, COMMAND)


class RedisAuditLog:
    def __init__(self, calls: RedisClient, key_prefix: str) -> None:
        self._calls = calls
        self._prefix = key_prefix
        self._head_key = f"{key_prefix}{AUDIT_HEAD.name}"

    async def head(self) -> Head:
        (held,) = await self._calls.execute([("GETEX", self._head_key, "EX", HEAD_TTL_S)])
        if held is None:
            ours = _packed(Head(chain=uuid.uuid4().hex[:12]))
            (held,) = await self._calls.execute([("SET", self._head_key, ours, "NX", "GET", "EX", HEAD_TTL_S)])
            held = ours if held is None else held
        return self._head(held)

    async def peek(self) -> Head | None:
        (held,) = await self._calls.execute([("GET", self._head_key)])
        return None if held is None else self._head(held)

    async def append(self, entry: Mapping[str, Any], after: Head) -> bytes:
        while True:
            ours, key = sealed(entry, after), self._next_key(after)
            (held,) = await self._calls.execute([("SET", key, ours, "NX", "GET", "EX", ENTRY_TTL_S)])
            stands = ours if held is None else cast(bytes, held)
            after, command = _standing(stands, key)
            if command == command_of(entry):
                await self._advance(after)
                return stands

    async def restore(self, head: Head) -> None:
        await self._calls.execute([("SET", self._head_key, _packed(head), "EX", HEAD_TTL_S)])

    async def _advance(self, head: Head) -> None:
        """Say where the chain ends, looking again afterwards: others who appended behind us may have said so before
        us, and an end that lags would, once the entries behind it have expired, be taken for the end."""
        while True:
            await self.restore(head)
            key = self._next_key(head)
            (held,) = await self._calls.execute([("GET", key)])
            if held is None:
                return
            head, _ = _standing(cast(bytes, held), key)

    def _next_key(self, head: Head) -> str:
        return AUDIT.key(self._prefix, f"{head.chain} {head.number + 1}")

    def _head(self, held: Reply) -> Head:
        with reading(self._head_key):
            chain, number, sha256 = orjson.loads(cast(bytes, held))
        return Head(chain=chain, number=number, sha256=sha256)


class RedisCommandLog:
    def __init__(self, calls: RedisClient, key_prefix: str) -> None:
        self._calls = calls
        self._prefix = key_prefix

    async def find(self, key: CommandKey) -> bytes | None:
        (held,) = await self._calls.execute([("GET", self._key(key))])
        return cast("bytes | None", held)

    async def put_if_absent(self, key: CommandKey, text: bytes) -> bytes:
        (held,) = await self._calls.execute([("SET", self._key(key), text, "NX", "GET", "EX", ENTRY_TTL_S)])
        return text if held is None else cast(bytes, held)

    async def replace(self, key: CommandKey, text: bytes) -> None:
        await self._calls.execute([("SET", self._key(key), text, "EX", ENTRY_TTL_S)])

    def _key(self, key: CommandKey) -> str:
        """Ids come from outside: hashed, they have one length and can't reach into another key."""
        digest = hashlib.sha256(orjson.dumps([key.tenant, key.command_id])).hexdigest()
        return COMMAND.key(self._prefix, digest[:40])


def _standing(entry: bytes, key: str) -> tuple[Head, CommandKey]:
    """The place of an entry, and whose answer it is. Raises ForeignValue."""
    with reading(key):
        return head_after(entry), command_of(orjson.loads(entry))


def _packed(head: Head) -> bytes:
    return orjson.dumps([head.chain, head.number, head.sha256])
