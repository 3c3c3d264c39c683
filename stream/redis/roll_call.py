"""The roll call on Redis: one hash a consumer group, a field a worker.

    {GROUP}:fleet    worker's name -> badge with the time it was left

The key goes by the consumer group and not by the key prefix: workers with different prefixes must meet somewhere. With
default settings it lies under the prefix all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import cast

import orjson

from abuse.event_time import MS
from abuse.redis_port import RedisClient, Reply, reading
from abuse.store_record import Personal, StoreRecord
from abuse.store_time import StoreTime
from stream.runtime.fleet import LIFE_S, Badge, KeyMark

LIFE_MS = round(LIFE_S * MS)
FLEET = StoreRecord(
    name="fleet",
    holds="settings of living workers, as digests, by consumer group",
    personal=Personal.NONE,
    life_ms=LIFE_MS,
    after="a worker last renewed it",
)
RECORDS = (FLEET,)


def fleet_key(group: str) -> str:
    return f"{group}:{FLEET.name}"


class RedisRollCall:
    """Adapter of the port `RollCall`, which says what each method promises."""

    def __init__(self, calls: RedisClient, group: str, time: StoreTime) -> None:
        self._calls, self._time = calls, time
        self._key = fleet_key(group)

    async def sign(self, ours: Badge) -> Sequence[Badge]:
        now_ms = await self._time.now_ms()
        value = orjson.dumps({**asdict(ours), "seen_ms": now_ms})
        *_, reply = await self._calls.execute(
            [("HSET", self._key, ours.name, value), ("PEXPIRE", self._key, LIFE_MS), ("HGETALL", self._key)]
        )
        living, gone = self._read(reply, now_ms)
        if gone:
            await self._calls.execute([("HDEL", self._key, *gone)])
        return living

    async def living(self) -> Sequence[Badge]:
        (reply,) = await self._calls.execute([("HGETALL", self._key)])
        living, _ = self._read(reply, await self._time.now_ms())
        return living

    async def leave(self, name: str) -> None:
        await self._calls.execute([("HDEL", self._key, name)])

    def _read(self, reply: Reply, now_ms: int) -> tuple[list[Badge], list[bytes]]:
        """Badges of living workers, and the names of those that are gone."""
        living, gone = list[Badge](), list[bytes]()
        with reading(self._key):
            flat = cast("list[bytes]", reply)
            for name, value in zip(flat[::2], flat[1::2], strict=True):
                held = orjson.loads(value)
                if int(held["seen_ms"]) + LIFE_MS > now_ms:
                    living.append(_badge(held))
                else:
                    gone.append(name)
        return living, gone


def _badge(held: dict[str, object]) -> Badge:
    """Badge of the fields that this release knows. Raises the errors of a foreign value."""
    keys = cast("list[dict[str, object]] | None", held["hash_keys"])
    of_sessions = cast("list[dict[str, object]] | None", held.get("session_keys"))
    texts = {name: str(held[name]) for name in ("name", "key_prefix", "topic_prefix", "policy", "rules", "release")}
    return Badge(
        **texts,
        began_ms=int(cast(int, held["began_ms"])),
        roles=tuple(map(str, cast("list[object]", held["roles"]))),
        hash_keys=None if keys is None else tuple(_mark(key) for key in keys),
        # A worker of a release before these had none.
        record_keys=tuple(_mark(key) for key in cast("list[dict[str, object]]", held.get("record_keys", []))),
        unsigned_until_ms=int(cast(int, held.get("unsigned_until_ms", 0))),
        signatures=cast("str | None", held.get("signatures")),
        session_keys=None if of_sessions is None else tuple(_mark(key) for key in of_sessions),
    )


def _mark(held: dict[str, object]) -> KeyMark:
    return KeyMark(since_ms=int(cast(int, held["since_ms"])), id=str(held["id"]), check=str(held["check"]))
