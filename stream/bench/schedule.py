"""Schedules of a load: when each submission is due. Pure; times are seconds on one monotonic clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Schedule(Protocol):
    def due(self, now: float, in_flight: int) -> float | None:
        """Moment the next submission counts from if due now, else None; a moment is given once."""

    def wait(self, now: float) -> float:
        """Seconds until a submission may be due without a further answer; infinity for never."""

    def over(self, now: float) -> bool:
        """End of the schedule: no submission is due any more."""


class Saturating:
    """Schedule as fast as answers come: always `in_flight` submissions on their way, until `end`."""

    def __init__(self, end: float, in_flight: int) -> None:
        self._end = end
        self._in_flight = in_flight

    def due(self, now: float, in_flight: int) -> float | None:
        return now if now < self._end and in_flight < self._in_flight else None

    def wait(self, now: float) -> float:
        return max(self._end - now, 0.0)

    def over(self, now: float) -> bool:
        return now >= self._end


class Paced:
    """Schedule at a fixed rate, whatever the answers do. A submission sent late counts from when it was due, so that a
    stall shows in the latency of all it held up (no coordinated omission)."""

    def __init__(self, start: float, rate_per_s: float, seconds: float) -> None:
        self._moments: Iterator[float] = (start + number / rate_per_s for number in range(int(rate_per_s * seconds)))
        self._next = next(self._moments, None)

    def due(self, now: float, in_flight: int) -> float | None:
        if self._next is None or now < self._next:
            return None
        moment, self._next = self._next, next(self._moments, None)
        return moment

    def wait(self, now: float) -> float:
        return float("inf") if self._next is None else max(self._next - now, 0.0)

    def over(self, now: float) -> bool:
        return self._next is None
