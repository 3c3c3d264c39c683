"""Check values of hash keys on Redis: key-check:{KEY ID}, the first writer wins."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from abuse.event_time import MS
from abuse.redis_port import Command, RedisClient, Reply
from abuse.store_record import Personal, StoreRecord

#: A worker renews the values when it starts; no installation goes so long without a start.
CHECK_TTL_S = 400 * 86_400
RECORDS = (
    StoreRecord(
        name="abuse:key-check",
        holds="check values of hash keys",
        personal=Personal.NONE,
        life_ms=CHECK_TTL_S * MS,
        after="a worker last started",
    ),
)


class RedisKeyChecks:
    def __init__(self, calls: RedisClient, key_prefix: str) -> None:
        self._calls = calls
        self._prefix = f"{key_prefix}abuse:key-check:"

    async def put_if_absent(self, values: Mapping[str, str]) -> Mapping[str, str]:
        commands: list[Command] = []
        for key_id, value in values.items():
            key = self.location(key_id)
            commands += [("SET", key, value, "NX", "EX", CHECK_TTL_S), ("GETEX", key, "EX", CHECK_TTL_S)]
        replies = await self._calls.execute(commands) if commands else []
        return _held(list(values), replies[1::2])

    async def peek(self, key_ids: Collection[str]) -> Mapping[str, str]:
        names = list(key_ids)
        replies = await self._calls.execute([("GET", self.location(name)) for name in names]) if names else []
        return _held(names, replies)

    def location(self, key_id: str) -> str:
        return f"{self._prefix}{{{key_id}}}"


def _held(names: Sequence[str], replies: Sequence[Reply]) -> dict[str, str]:
    """Stored values by key id. A foreign value is a value like any other: no secret has it."""
    return {
        name: reply.decode(errors="replace")
        for name, reply in zip(names, replies, strict=True)
        if isinstance(reply, bytes)
    }
