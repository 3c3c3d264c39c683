"""Names of what a sweep failed on, left aside for a while: all that is due behind them is looked at meanwhile.

A value that can't be read, as of a newer release, stays due and comes first each time. Nothing of it is removed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

#: How long a name is left aside, and how many are: of more, the first come again.
ASIDE_S, MOST_ASIDE = 60.0, 1000

T = TypeVar("T", bound=Hashable)


class LeftAside(Generic[T]):
    """Names left aside by one worker's sweep, in memory. `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[T, float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def add(self, name: T) -> None:
        """Leave a name aside; called where the sweep failed on it."""
        if len(self._until) == MOST_ASIDE:
            del self._until[next(iter(self._until))]
        self._until[name] = self._clock() + ASIDE_S

    def passed(self) -> None:
        """Forget the names whose time is over; called before what is due is asked for."""
        now_s = self._clock()
        self._until = {name: until_s for name, until_s in self._until.items() if until_s > now_s}

    def others(self, names: Sequence[T], most: int) -> list[T]:
        """The first of the names due that are not left aside."""
        return [name for name in names if name not in self._until][:most]
