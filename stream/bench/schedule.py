"""When each submission of a load is due. Pure; times are seconds on one monotonic clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Schedule(Protocol):
    def due(self, now: float, in_flight: int) -> float | None:
        """The moment the next submission counts from, if it is to be sent now; otherwise None. Taking it
        moves the schedule on."""

    def wait(self, now: float) -> float:
        """Seconds until the schedule may have something to do of its own accord; infinity for never."""

    def over(self, now: float) -> bool:
        """Nothing will be sent any more."""


class Saturating:
    """As fast as answers come: always `in_flight` submissions on their way, until `end`."""

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
    """A fixed rate whatever the answers do. A submission that is sent late still counts from when it was due,
    so that a stall shows in the latency of all it held up (no coordinated omission)."""

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
