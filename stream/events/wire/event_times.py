"""Bounds of event times: what a foreign clock or a stranger may write, and arithmetic still bears.

A time far ahead would empty a subject's journal, keep a face for years and see every flag as expired: the store's time
is the latest that counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from abuse.store_time import StoreTime
from stream.runtime import metrics
from stream.runtime.patience import RetryPolicy

#: 2200-01-01 UTC in milliseconds. Lifetimes are added to event times, and dates have four digits.
LATEST_MS = 7_258_118_400_000
#: A broker's clock may be so far ahead of the store's: NTP keeps both within a second.
AHEAD_MS = 60_000


def bounded(at_ms: int) -> int:
    """Time of a record within the bounds; a missing time is -1 and becomes 0."""
    return min(max(at_ms, 0), LATEST_MS)


@dataclass(frozen=True, slots=True)
class EventTimes:
    """Event times of records as the stages count them. Waits while the store is away and has never told its time."""

    time: StoreTime
    patience: RetryPolicy

    async def counted(self, appended_at_ms: int) -> int:
        """The time of a record, or the store's for a record without one or from the future."""
        now_ms = await self.patience.until_available(self.time.now_ms)
        if 0 < appended_at_ms <= now_ms + AHEAD_MS:
            return appended_at_ms
        metrics.TIMES_BOUNDED.inc()
        return now_ms
