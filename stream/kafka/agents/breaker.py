"""Circuit breaker: a worker that fails record after record stops, before a bad deploy answers everybody with an error.

An attacker's records come between honest ones; of a bad deploy's records all fail. So a run of failures, or a share of
the last records, opens the breaker: the process ends, and what was not published yet is not acknowledged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from config.groups.processing import DeliverySettings
from stream.events.message.messages import Fault

#: Faults of a record's writer, none of the worker's.
WRITTEN_SO = frozenset({Fault.FORGED, Fault.POISON})
#: Records of which a share is taken, and how many there must be.
WINDOW, ENOUGH = 200, 100


class BreakerOpen(Exception):
    """Error of a worker that fails too many records; the message gives the numbers."""


class Breaker:
    """Breaker of one agent, told of each record by the agent's runner before its outputs are published."""

    def __init__(self, settings: DeliverySettings) -> None:
        self._longest = {Fault.INTERNAL: settings.breaker_failures, Fault.DEAD_LETTER: settings.breaker_dead_letters}
        self._most_poison, self._poison = settings.breaker_poison, 0
        self._share = settings.breaker_share
        self._runs = dict.fromkeys(self._longest, 0)
        self._last: deque[bool] = deque(maxlen=WINDOW)

    def note(self, faults: Collection[Fault]) -> None:
        """Count a record that ended so. Raises BreakerOpen when a run or the share of failures is too long.

        A forged record, or poison, neither counts nor breaks a run: a flood of them stops no worker, and hides no
        failure. Poison has a run of its own, which counts where that is asked for.
        """
        if not WRITTEN_SO.isdisjoint(faults):
            self._poison += Fault.POISON in faults
            if self._most_poison and self._poison >= self._most_poison:
                raise BreakerOpen(f"{self._poison} records in a row ended as {Fault.POISON}")
            return
        self._poison = 0
        for fault, longest in self._longest.items():
            self._runs[fault] = self._runs[fault] + 1 if fault in faults else 0
            if longest and self._runs[fault] >= longest:
                raise BreakerOpen(f"{self._runs[fault]} records in a row ended as {fault}")
        self._last.append(Fault.INTERNAL in faults)
        failed = sum(self._last)
        if len(self._last) >= ENOUGH and failed > self._share * len(self._last):
            raise BreakerOpen(f"{failed} of the last {len(self._last)} records ended as {Fault.INTERNAL}")
