"""Clock: time as an argument, so that tests can set it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Port of the time, for every stage; neither method blocks or raises."""

    def now_ms(self) -> int:
        """UTC wall time in milliseconds, for timestamps and the time a record waited."""

    def monotonic(self) -> float:
        """Seconds that never run backwards, for deadlines and durations."""


class SystemClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


SYSTEM_CLOCK = SystemClock()
