"""Publishing: an output counts only once the broker has confirmed it.

A send that isn't confirmed in time is sent again, the same bytes; consumers see at worst a duplicate. When the
output stays refused or out of reach, patience ends and the process exits without an acknowledgement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stream.events.authentication.record_mac import NO_MACS, RecordMacs
from stream.events.message.messages import Output
from stream.runtime.patience import RetryPolicy


class Sender(Protocol):
    """Port of the broker, called by the publisher."""

    async def __call__(self, output: Output) -> None:
        """Send one record and return once the broker has confirmed it.

        Raises `config.errors.Unavailable` for a record that isn't confirmed in time; then the publisher repeats the
        call. Any other exception is a bug: the record is larger than our own limit.
        """


class Publisher:
    """Publisher of outputs, called by the agents and the sweeper, many at once. Outputs on internal topics get their
    MACs here."""

    def __init__(self, send: Sender, patience: RetryPolicy, at_most_s: float, macs: RecordMacs = NO_MACS) -> None:
        self._send = send
        self._macs = macs
        self._patience = patience
        self._at_most_s = at_most_s

    async def publish(self, outputs: Sequence[Output]) -> None:
        """Send every output and wait for its confirmation, in order.

        May be repeated: consumers then see the same records again. Raises DependencyTimeout when the broker confirms
        an output neither at once nor within `at_most_s`; the outputs before it are published.
        """
        for output in outputs:
            await self._patience.until_available(self._send, self._macs.signed(output), at_most_s=self._at_most_s)
