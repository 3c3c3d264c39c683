"""Publishing: an output counts only once the broker has confirmed it.

A send that isn't confirmed in time is sent again, the same bytes; consumers see at worst a duplicate. When the
output stays refused or out of reach, patience ends and the process exits without an acknowledgement.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from stream.events.authentication.record_mac import NO_MACS, RecordMacs
from stream.events.message.messages import Output
from stream.runtime.patience import RetryPolicy

#: Port of the broker: sends one record and returns once the broker has confirmed it. Raises `config.errors.Unavailable`
#: for a record that isn't confirmed in time; any other exception is a bug: the record is larger than our own limit.
Sender = Callable[[Output], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publisher of outputs, called by agents and sweepers, many at once; puts MACs on those of internal topics."""

    send: Sender
    patience: RetryPolicy
    at_most_s: float
    macs: RecordMacs = NO_MACS

    async def publish(self, outputs: Sequence[Output]) -> None:
        """Send every output and wait for its confirmation, in order.

        May be repeated: consumers then see the same records again. Raises DependencyTimeout when the broker confirms
        an output neither at once nor within `at_most_s`; the outputs before it are published.
        """
        for output in outputs:
            await self.patience.until_available(self.send, self.macs.signed(output), at_most_s=self.at_most_s)
