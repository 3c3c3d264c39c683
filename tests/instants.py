"""Fixed instants for tests: no answer of a test depends on the day or the hour of its run.

Redis deletes a key at once whose `PEXPIREAT` has passed on the server's own clock, which no test can set. The keys of
faces expire by event time, so a face of an instant in the past would be gone before a test could find it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


def _milliseconds(year: int) -> int:
    """UTC noon of 15 June: whole hours, and hours away from where a day, a month or a year begins or ends."""
    return round(datetime(year, 6, 15, 12, tzinfo=UTC).timestamp() * 1000)


#: The present of tests that keep anything by event time. Decades ahead of any server's clock: what is kept for weeks
#: from this instant is kept by a real Redis as well.
NOW_MS = _milliseconds(2090)
#: Event time of what was to be kept no longer before the run began: behind any server's clock.
LONG_PAST_MS = _milliseconds(2001)


@dataclass(frozen=True, slots=True)
class StillClock:
    """A `stream.runtime.clock.Clock` that stands at one instant."""

    at_ms: int = NOW_MS

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic(self) -> float:
        return self.at_ms / 1000
