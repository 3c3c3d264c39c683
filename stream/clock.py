"""Time as an argument: stages ask a clock, so that tests can set it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> int:
        """UTC wall time in milliseconds, for timestamps and the time a record waited."""

    def monotonic(self) -> float:
        """Seconds that never run backwards, for deadlines and durations."""


class SystemClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


def iso8601(at_ms: int) -> str:
    """UTC milliseconds as ISO 8601 with a Z, for example 2026-01-02T03:04:05.678Z."""
    moment = datetime.fromtimestamp(at_ms / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
