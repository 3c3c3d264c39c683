"""The frame index on Redis, one server or a cluster.

    abuse:frame:{TENANT|KIND|KEY|64 BITS}      which capture showed the frame first, as 16 hex digits
    abuse:frames-of:{TENANT|CORRELATION_ID}    sorted set, by event time: the frames of a correlation id's captures

`SET NX GET` decides the first capture: a repeat finds its own name.
"""

from __future__ import annotations

from functools import partial
from typing import cast

from abuse.event_time import DAY_MS
from abuse.pictures.frame_index import OWNER_LENGTH, Capture, ShownBefore, shown_before
from abuse.pictures.media_index import MediaPlan, media_plan
from abuse.redis_port import Command, ForeignValue, RedisClient, Reply
from abuse.store_record import Personal, StoreRecord

PAGE = 100

_of_media = partial(StoreRecord, life_ms=lambda settings, policy: media_plan(policy).life_ms)
FRAME = _of_media(
    name="abuse:frame",
    holds="which active check showed a frame first, under the frame's keyed hash",
    personal=Personal.BIOMETRIC,
    after="it was shown first",
)
FRAMES_OF = _of_media(name="abuse:frames-of", holds="which frames are a correlation id's", after="the last one")
RECORDS = (FRAME, FRAMES_OF)


class RedisFrameIndex:
    """Adapter of the port `FrameIndex`, which says what each method promises."""

    def __init__(self, calls: RedisClient, key_prefix: str, plan: MediaPlan) -> None:
        self._calls, self._plan = calls, plan
        self._prefix = key_prefix

    async def claim(self, capture: Capture, at_ms: int) -> ShownBefore:
        own, others = (
            [self._frame(capture.tenant, f"{kind}|{name}") for kind, name in names]
            for names in (capture.frames(), capture.looked_up())
        )
        listing = self._listing(capture, at_ms)
        claims: list[Command] = [("SET", key, capture.owner, "NX", "GET", "PX", self._plan.life_ms) for key in own]
        looks: list[Command] = [("GET", key) for key in others]
        replies = (await self._calls.execute([*listing, *claims, *looks]))[len(listing) :]
        return shown_before(capture, [_owner(key, reply) for key, reply in zip([*own, *others], replies, strict=True)])

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        owners = await self._each("GET", await self._frames_of(tenant, correlation_id))
        return sum(owner is not None for owner in owners)

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        """Remove the frames first and their index last, so that a repeat after a crash finds the rest."""
        removed = sum(cast("list[int]", await self._each("DEL", await self._frames_of(tenant, correlation_id))))
        await self._calls.execute([("DEL", self._index(tenant, correlation_id))])
        return removed

    def _listing(self, capture: Capture, at_ms: int) -> list[Command]:
        """Index of the frames that may become the correlation id's own. Frames that another
        correlation id showed first are listed too: an erasure of either one removes these."""
        index = self._index(capture.tenant, capture.correlation_id)
        scored = [part for kind, name in capture.frames() for part in (at_ms, f"{kind}|{name}")]
        return [
            ("ZADD", index, *scored),
            ("ZREMRANGEBYSCORE", index, "-inf", f"({at_ms - self._plan.life_ms - DAY_MS}"),
            ("PEXPIRE", index, self._plan.life_ms),
        ]

    async def _frames_of(self, tenant: str | None, correlation_id: str) -> list[str]:
        (listed,) = await self._calls.execute([("ZRANGE", self._index(tenant, correlation_id), 0, -1)])
        return [self._frame(tenant, each.decode()) for each in cast("list[bytes]", listed)]

    async def _each(self, command: str, keys: list[str]) -> list[Reply]:
        """Replies to a command for each key, asked in pages."""
        commands: list[Command] = [(command, key) for key in keys]
        pages = [commands[start : start + PAGE] for start in range(0, len(commands), PAGE)]
        return [reply for each in pages for reply in await self._calls.execute(each)]

    def _frame(self, tenant: str | None, name: str) -> str:
        return FRAME.key(self._prefix, tenant or "", name)

    def _index(self, tenant: str | None, correlation_id: str) -> str:
        return FRAMES_OF.key(self._prefix, tenant or "", correlation_id)


def _owner(key: str, reply: Reply) -> str | None:
    if reply is None:
        return None
    if not isinstance(reply, bytes) or len(reply) != OWNER_LENGTH or not reply.isascii():
        raise ForeignValue(key)
    return reply.decode()
