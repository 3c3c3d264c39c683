"""The store's time: one clock for all workers and commands, for what is stored, trimmed, expired or hashed by time.

A process's own clock may be days ahead: it would expire everybody's flags, and forget what an erasure must find.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, cast

from abuse.event_time import MS
from abuse.redis_port import RedisClient, Reply
from config.errors import Unavailable

#: The store is asked again after so long; in between, the time goes on by a count of seconds that nobody sets.
ASK_EVERY_S = 5.0


class StoreTime(Protocol):
    async def now_ms(self) -> int:
        """UTC milliseconds by the store's clock. Sweeper, decision store, event times and commands of people call this.
        At most one round trip, usually none; may be repeated. Raises `config.errors.Unavailable` when the store is away
        and has never told its time."""


class StillTime:
    """The fake: a time that stands until a test sets it."""

    def __init__(self, at_ms: int) -> None:
        self.at_ms = at_ms

    async def now_ms(self) -> int:
        return self.at_ms


class RedisTime:
    """The time of a Redis server; of a cluster, of the node that owns slot 0."""

    def __init__(self, calls: RedisClient, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._calls, self._monotonic = calls, monotonic
        self._told: tuple[int, float] | None = None

    async def now_ms(self) -> int:
        if self._told is None or self._monotonic() - self._told[1] >= ASK_EVERY_S:
            try:
                (reply,) = await self._calls.execute([("TIME",)])
            except Unavailable:
                if self._told is None:
                    raise
            else:
                self._told = (_milliseconds(reply), self._monotonic())
        told_ms, at_s = self._told
        return told_ms + int((self._monotonic() - at_s) * MS)


def _milliseconds(reply: Reply) -> int:
    """Raises Unavailable for what is no time: a proxy's answer, which the next one may mend."""
    try:
        seconds, microseconds = cast("list[bytes]", reply)
        return int(seconds) * MS + int(microseconds) // MS
    except (ValueError, TypeError) as error:
        raise Unavailable("redis", "TIME was answered with no time") from error
