"""The clock of a worker, compared with the store's: refused at start-up when far from it, said while running."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from abuse.event_time import MS
from abuse.store_time import StoreTime
from config.errors import SettingsError
from stream.runtime import metrics
from stream.runtime.clock import Clock
from stream.runtime.patience import RetryPolicy

log = structlog.get_logger()

LOOK_EVERY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockWatch:
    """Comparison of a worker's clock with the store's. `limit_s`: `redis.max_clock_difference_s`."""

    time: StoreTime
    clock: Clock
    patience: RetryPolicy
    limit_s: float

    async def check(self) -> None:
        """Start-up check. Raises SettingsError beyond the limit, `config.errors.Unavailable` when the store is away."""
        ahead_s = await self._ahead_s()
        if abs(ahead_s) > self.limit_s:
            raise SettingsError(
                f"redis.max_clock_difference_s: this machine's clock is {_in_words(ahead_s)} Redis' clock, more than"
                f" the {self.limit_s:g} s allowed; set the clocks by NTP, then start again"
            )

    async def run(self) -> None:
        """Look now and again until cancelled. What is durable goes by the store's time, so the worker goes on."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> float:
        """Seconds by which the worker's clock is ahead, said beyond the limit."""
        ahead_s = await self.patience.until_available(self._ahead_s)
        if abs(ahead_s) > self.limit_s:
            log.error("clock_differs", ahead_s=round(ahead_s, 1), limit_s=self.limit_s, why="set the clocks by NTP")
        return ahead_s

    async def _ahead_s(self) -> float:
        """Seconds ahead, below 0 behind: at least so many, whatever part of a slow answer was the way here."""
        before_ms = self.clock.now_ms()
        store_ms = await self.time.now_ms()
        ahead_ms = max(before_ms - store_ms, 0) or min(self.clock.now_ms() - store_ms, 0)
        metrics.CLOCK_AHEAD_SECONDS.set(ahead_ms / MS)
        return ahead_ms / MS


def _in_words(ahead_s: float) -> str:
    return f"{abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'}"
