"""Publishing: an output counts only once the broker has confirmed it.

A send that isn't confirmed in time is sent again, the same bytes; consumers see at worst a duplicate. When the
output stays refused or out of reach, patience ends and the process exits without an acknowledgement.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from stream.events.messages import Output
from stream.runtime.patience import RetryPolicy


class Sender(Protocol):
    """Sends one record; returns once it is confirmed, raises `config.errors.Unavailable` when it was not."""

    async def __call__(self, output: Output) -> None: ...


class Publisher:
    def __init__(self, send: Sender, patience: RetryPolicy, at_most_s: float) -> None:
        self._send = send
        self._patience = patience
        self._at_most_s = at_most_s

    async def publish(self, outputs: Sequence[Output]) -> None:
        """Confirm every output, in order. Raises `patience.DependencyTimeout` after `at_most_s` for one of them."""
        for output in outputs:
            await self._patience.until_available(partial(self._send, output), at_most_s=self._at_most_s)
