"""Pending detections on Redis: one hash a set, so that commands on a set keep their order wherever the hash lives.

    join:{NAME}                       slot -> digest and part; `!SLOT` if there was other content; `ends`; `closed`,
                                      the first writer's; `?WORKER` of each that swept the set;
                                      `settled`, what leads to the decision, once the parts are gone;
                                      `owed`, what answers for parts that were erased
    join-due:{N}                      sorted set, by deadline: which sets to close
    join-of:{TENANT|CORRELATION_ID}   sorted set, by when they began: which sets are the correlation id's
    join-turn                         which worker looks for sets to close

A slot is taken with HSETNX, and a set closed with HSETNX: a closing names slots that had been taken, whose content
nobody changes. Each command may be sent again after a lost reply.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from typing import cast

from pydantic import ValidationError

from abuse.event_time import MS
from abuse.redis_port import Command, RedisClient, Reply, earliest, reading, texts_of
from abuse.store_record import Personal, RebuiltFrom, StoreRecord
from abuse.store_time import RedisTime, StoreTime
from config.policy import Policy
from config.settings import Settings
from stream.events.message.ids import SubmissionIds
from stream.pipeline.join.pending import CLOSING, PARTS_LIFE_MS, SLOT, TURN_MS, Closing, Parts, PendingPart, PendingSet

DUE_PARTS = 16
DIGEST_LENGTH = 32
CLOSED, SETTLED, OWED, ENDS = "closed", "settled", "owed", "ends"
#: Before a slot, and before the name of a worker that swept the set: signs that no slot begins with.
AGAINST, TRIED = "!", "?"
_SLOT = re.compile(SLOT)


def _life_ms(settings: Settings, policy: Policy) -> int:
    return settings.redis.decision_ttl_s * MS + PARTS_LIFE_MS


JOIN = StoreRecord(
    name="join",
    holds="parts of submissions that are not decided yet; then which parts were",
    personal=Personal.BIOMETRIC,
    life_ms=_life_ms,
    after="the last part; parts at most a few seconds after the decision's deadline",
    rebuilt_from=(RebuiltFrom.DETECTIONS,),
)
DUE = StoreRecord(
    name="join-due",
    holds="when to decide without the parts that are missing",
    personal=Personal.NONE,
    life_ms=_life_ms,
    after="the last part",
    rebuilt_from=(RebuiltFrom.DETECTIONS,),
)
JOINS_OF = StoreRecord(
    name="join-of",
    holds="which submissions in parts are a correlation id's",
    life_ms=_life_ms,
    after="the last part",
    rebuilt_from=(RebuiltFrom.DETECTIONS,),
)
TURN = StoreRecord(
    name="join-turn",
    holds="which worker looks for parts that are missing",
    personal=Personal.NONE,
    life_ms=TURN_MS,
    after="its last turn",
)
RECORDS = (JOIN, DUE, JOINS_OF, TURN)


class RedisPendingDetections:
    """Adapter of the port `PendingDetections`, which says what each method promises."""

    def __init__(self, calls: RedisClient, key_prefix: str, ttl_s: int, time: StoreTime | None = None) -> None:
        self._calls, self._time = calls, time or RedisTime(calls)
        self._prefix, self._life_ms = key_prefix, ttl_s * MS + PARTS_LIFE_MS

    async def put(self, name: str, ids: SubmissionIds, part: PendingPart, due_ms: int | None) -> PendingSet:
        key = self._key(name)
        taking: Command = ("HSETNX", key, part.slot, part.digest.encode() + part.payload)
        commands: list[Command] = [
            *await self._listed(name, ids),
            *self._deadline(name, due_ms),
            taking,
            *([("HSETNX", key, ENDS, 1)] if part.ends else []),
            ("PEXPIRE", key, self._life_ms),
            *self._look(key),
        ]
        *replies, names, closed, settled = await self._calls.execute(commands)
        state = _state(key, texts_of(names), closed, settled)
        if state.closing is not None:
            if part.slot not in state.closing.slots or state.settled is not None:
                await self._calls.execute([("HDEL", key, part.slot)])  # it came too late, and leaves nothing
            return state
        return state if replies[commands.index(taking)] == 1 else await self._again(key, part, state)

    async def _again(self, key: str, part: PendingPart, state: PendingSet) -> PendingSet:
        """State after a slot was found taken, perhaps by this very part."""
        (held,) = await self._calls.execute([("HGET", key, part.slot)])
        if held is None or _part(key, held)[0] == part.digest:
            return state
        _, *told = await self._calls.execute([("HSETNX", key, f"{AGAINST}{part.slot}", 1), *self._look(key)])
        return _state(key, texts_of(told[0]), *told[1:])

    async def close(self, name: str, closing: Closing) -> tuple[Closing, Parts]:
        key = self._key(name)
        ours: Command = ("HSETNX", key, CLOSED, CLOSING.dump_json(closing))
        *_, told = await self._calls.execute([ours, ("PEXPIRE", key, self._life_ms), ("HGETALL", key)])
        state, parts = _read(key, told)
        return state.closing or closing, parts

    async def read(self, name: str) -> tuple[PendingSet, Parts]:
        key = self._key(name)
        (told,) = await self._calls.execute([("HGETALL", key)])
        return _read(key, told)

    async def settle(self, name: str, settled: str, slots: Collection[str]) -> None:
        key = self._key(name)
        commands: list[Command] = [("HSET", key, SETTLED, settled), ("PEXPIRE", key, self._life_ms)]
        commands.append(("HDEL", key, OWED, *sorted(slots)))
        await self._calls.execute([*commands, ("ZREM", self._due(name), name)])

    async def tried(self, name: str, worker: str) -> int:
        key = self._key(name)
        *_, names = await self._calls.execute(
            [("HSETNX", key, f"{TRIED}{worker}", 1), ("PEXPIRE", key, self._life_ms), ("HKEYS", key)]
        )
        return sum(each.startswith(TRIED) for each in texts_of(names))

    async def drop(self, name: str) -> None:
        await self._calls.execute([("ZREM", self._due(name), name)])

    async def due(self, until_ms: int, most: int) -> list[str]:
        keys = [DUE.key(self._prefix, number) for number in range(DUE_PARTS)]
        replies = await self._calls.execute(
            [("ZRANGE", key, "-inf", until_ms, "BYSCORE", "LIMIT", 0, most, "WITHSCORES") for key in keys]
        )
        return earliest(replies, most)

    async def take_turn(self, worker: str, for_ms: int) -> bool:
        key = f"{self._prefix}{TURN.name}"
        (held,) = await self._calls.execute([("SET", key, worker, "NX", "GET", "PX", for_ms)])
        if held is None:
            return True
        if held != worker.encode():
            return False
        await self._calls.execute([("SET", key, worker, "PX", for_ms)])
        return True

    async def listed(self, tenant: str | None, correlation_id: str) -> list[str]:
        (names,) = await self._calls.execute([("ZRANGE", self._of(tenant, correlation_id), 0, -1)])
        return texts_of(names)

    async def unlist(self, tenant: str | None, correlation_id: str, names: Collection[str]) -> None:
        if names:
            await self._calls.execute([("ZREM", self._of(tenant, correlation_id), *sorted(names))])

    async def owe(self, name: str, owed: str) -> None:
        key = self._key(name)
        (fields,) = await self._calls.execute([("HKEYS", key)])
        gone = [each for each in texts_of(fields) if each not in (CLOSED, SETTLED, OWED)]
        owing: list[Command] = [("HSETNX", key, OWED, owed), *([("HDEL", key, *gone)] if gone else [])]
        await self._calls.execute([*owing, ("PEXPIRE", key, self._life_ms), *self._deadline(name, 0, anew=True)])

    async def discard(self, name: str, slots: Collection[str] | None = None) -> None:
        key = self._key(name)
        if slots is None:
            await self._calls.execute([("DEL", key), ("ZREM", self._due(name), name)])
        elif slots:
            await self._calls.execute([("HDEL", key, *sorted(slots), *(f"{AGAINST}{each}" for each in sorted(slots)))])

    async def _listed(self, name: str, ids: SubmissionIds) -> list[Command]:
        if ids.correlation_id is None:
            return []
        index, now_ms = self._of(ids.tenant, ids.correlation_id), await self._time.now_ms()
        return [
            ("ZADD", index, now_ms, name),
            ("ZREMRANGEBYSCORE", index, "-inf", f"({now_ms - self._life_ms}"),
            ("PEXPIRE", index, self._life_ms),
        ]

    def _deadline(self, name: str, due_ms: int | None, *, anew: bool = False) -> list[Command]:
        key, unless = self._due(name), () if anew else ("NX",)
        return [] if due_ms is None else [("ZADD", key, *unless, due_ms, name), ("PEXPIRE", key, self._life_ms)]

    def _look(self, key: str) -> list[Command]:
        return [("HKEYS", key), ("HGET", key, CLOSED), ("HGET", key, SETTLED)]

    def _key(self, name: str) -> str:
        return JOIN.key(self._prefix, name)

    def _due(self, name: str) -> str:
        return DUE.key(self._prefix, int(name[-1], 16))

    def _of(self, tenant: str | None, correlation_id: str) -> str:
        return JOINS_OF.key(self._prefix, tenant or "", correlation_id)


def _state(key: str, names: list[str], closed: Reply, settled: Reply) -> PendingSet:
    with reading(key):
        return PendingSet(
            slots=frozenset(name for name in names if _is_slot(name)),
            against=frozenset(name.removeprefix(AGAINST) for name in names if name.startswith(AGAINST)),
            ends=ENDS in names,
            closing=_closing(key, closed),
            settled=None if settled is None else cast(bytes, settled).decode("ascii"),
        )


def _is_slot(name: str) -> bool:
    return _SLOT.fullmatch(name) is not None


def _closing(key: str, closed: Reply) -> Closing | None:
    with reading(key):
        try:
            return None if closed is None else CLOSING.validate_json(cast(bytes, closed))
        except ValidationError as error:
            raise ValueError("no closing") from error


def _read(key: str, told: Reply) -> tuple[PendingSet, Parts]:
    with reading(key):
        flat = cast("list[bytes]", told)
        fields = {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
    owed = fields.get(OWED)
    state = _state(key, list(fields), fields.get(CLOSED), fields.get(SETTLED))
    state = replace(state, owed=None if owed is None else owed.decode())
    return state, {name: _part(key, value) for name, value in fields.items() if _is_slot(name)}


def _part(key: str, held: Reply) -> tuple[str, bytes]:
    with reading(key):
        value = cast(bytes, held)
        return value[:DIGEST_LENGTH].decode("ascii"), value[DIGEST_LENGTH:]
