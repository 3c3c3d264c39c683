"""Sliding windows in event time over attempts that are in order."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from abuse.event_time import MS
from abuse.ledger.journal import Attempt
from abuse.observation import Finding


@dataclass(frozen=True, slots=True)
class Window:
    """A window: the attempts of so many seconds up to and with its newest. Never empty."""

    attempts: tuple[Attempt, ...]

    @property
    def end_ms(self) -> int:
        return self.attempts[-1].at_ms

    @property
    def ids(self) -> int:
        """Distinct correlation ids."""
        return len({attempt.correlation_id for attempt in self.attempts})

    @property
    def spoofs(self) -> int:
        return sum(attempt.finding is Finding.SPOOF for attempt in self.attempts)

    @property
    def spoof_ratio(self) -> float:
        return self.spoofs / len(self.attempts)


def windows_with(at_ms: int, attempts: Sequence[Attempt], window_s: int) -> Iterator[Window]:
    """Every window that an attempt at `at_ms` is in: one if the attempt is the newest, more if it came late.

    Rules look at all of these with each attempt, so that findings don't depend on the order of arrival.
    """
    length = window_s * MS
    ends = sorted({a.at_ms for a in attempts if at_ms <= a.at_ms < at_ms + length})
    for end in ends:
        start = bisect_right(attempts, end - length, key=_at)
        stop = bisect_right(attempts, end, key=_at)
        yield Window(tuple(attempts[start:stop]))


def window_at(at_ms: int, attempts: Sequence[Attempt], window_s: int) -> tuple[Attempt, ...]:
    """Attempts in the window that ends at `at_ms`; may be empty."""
    start = bisect_right(attempts, at_ms - window_s * MS, key=_at)
    return tuple(attempts[start : bisect_right(attempts, at_ms, key=_at)])


def keep(attempts: Sequence[Attempt], wanted: Callable[[Attempt], bool]) -> tuple[Attempt, ...]:
    return tuple(attempt for attempt in attempts if wanted(attempt))


def _at(attempt: Attempt) -> int:
    return attempt.at_ms
