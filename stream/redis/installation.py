"""The watch over the installation marker: written for a new installation, and missed where Redis lost its content."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from abuse.redis_port import RedisClient
from abuse.store_time import StoreTime
from config.errors import Unavailable
from stream.redis.marker import LOST, MARKER_TTL_S, Marker, MarkerGuard, Origin, last_look, read_look, store_look

LOOK_EVERY_S = 5.0
#: While records wait for the marker.
LOOK_AGAIN_S = 1.0
#: A worker stores nothing for so long without a look: the pause between two looks, what a failover may cost, and half a
#: minute each for the clock of a worker (`redis.max_clock_difference_s`) and a round trip that is repeated.
PUBLISHED_LATER_MS = 120_000
#: Workers that accept the same loss do so within seconds of each other.
SAME_OCCASION_MS = 60_000


class InstallationWatch:
    """Watch of one worker. `calls` and `time` are of a client without guard; `is_new` asks whether the installation
    has decided nothing yet, `lacks_since` whether Redis lacks what was published after a time; both may raise
    Unavailable."""

    def __init__(
        self,
        guard: MarkerGuard,
        calls: RedisClient,
        time: StoreTime,
        is_new: Callable[[], Awaitable[bool]],
        lacks_since: Callable[[int], Awaitable[bool]],
        *,
        accept_loss: bool = False,
    ) -> None:
        self._guard, self._calls, self._time = guard, calls, time
        self._is_new, self._lacks_since, self._accept_loss = is_new, lacks_since, accept_loss

    def troubles(self) -> tuple[str, ...]:
        """Faults that make a worker not ready."""
        return (f"redis: {LOST}",) if self._guard.lost else ()

    async def look(self) -> None:
        """Find the marker; start-up check, and called now and again. May be repeated.

        A new installation gets one, and so does one whose loss the settings accept. Raises Unavailable otherwise.
        """
        marker, looks = await self._held()
        if self._guard.is_older(marker, looks) or await self._is_behind(marker, looks):
            # Other workers may not have seen what this one has: without a marker the copy is lost for all of them.
            await self._calls.execute([("DEL", key) for key in self._guard.keys])
            marker = None
        if not self._guard.accepts(marker, looks):
            if self._accept_loss:
                marker = await self._write(Origin.ACCEPTED)
            elif self._guard.known is None and await self._is_new():
                marker = await self._write(Origin.NEW)
            else:
                marker = None
        if marker is None:
            self._guard.lose()
            raise Unavailable("redis", LOST)
        self._guard.find(marker, looks)
        now_ms = await self._time.now_ms()
        await self._calls.execute([each for key in self._guard.keys for each in store_look(key, now_ms)])

    async def run(self) -> None:
        """Background task: an idle worker misses the marker too, and a waiting one finds it again."""
        while True:
            await asyncio.sleep(LOOK_AGAIN_S if self._guard.lost else LOOK_EVERY_S)
            try:
                await self.look()
            except Unavailable:
                continue  # said by the guard, or by a record that waits for Redis

    async def close(self) -> None:
        await self._calls.close()

    async def _held(self) -> tuple[Marker | None, dict[str, int]]:
        """The marker of all nodes, None unless they have the same; and by its key when each was last looked at."""
        keys = self._guard.keys
        asked = [("GETEX", key, "EX", MARKER_TTL_S) for key in keys] + [last_look(key) for key in keys]
        replies = await self._calls.execute(asked)
        first, *others = map(Marker.read, replies[: len(keys)])
        looks = dict(zip(keys, map(read_look, replies[len(keys) :]), strict=True))
        return (first if all(other == first for other in others) else None), looks

    async def _is_behind(self, marker: Marker | None, looks: Mapping[str, int]) -> bool:
        """Whether a worker that has seen no content yet meets one from before the newest records. Content on which
        nobody looked yet, of a version before this one, can't be told."""
        seen = [at_ms for at_ms in looks.values() if at_ms]
        if marker is None or self._guard.known is not None or not seen:
            return False
        return await self._lacks_since(max(min(seen), marker.at_ms) + PUBLISHED_LATER_MS)

    async def _write(self, origin: Origin) -> Marker:
        """Write the marker under every key, and return it. Of several workers the first one's counts."""
        ours, keys = Marker.made(origin, await self._time.now_ms()), self._guard.keys
        (held,) = await self._calls.execute([("SET", keys[0], str(ours), "NX", "GET", "EX", MARKER_TTL_S)])
        earlier = Marker.read(held)
        marker = earlier if earlier is not None and _counts(earlier, ours) else ours
        await self._calls.execute([marker.store(key) for key in keys])
        return marker


def _counts(earlier: Marker, ours: Marker) -> bool:
    """Whether another worker wrote the earlier marker on the same occasion; else ours replaces it, for all workers."""
    if ours.origin is Origin.NEW:
        return True
    return earlier.origin is ours.origin and ours.at_ms - earlier.at_ms < SAME_OCCASION_MS


async def mark_rebuilt(calls: RedisClient, keys: Sequence[str], at_ms: int) -> None:
    """Write a marker that workers go on with; the last step of a rebuild. May be repeated."""
    marker = Marker.made(Origin.REBUILT, at_ms)
    await calls.execute([marker.store(key) for key in keys])
