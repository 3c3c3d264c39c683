"""The sweeper: flags that expire are published as such, by one worker at a time.

What it does is the same whoever does it: if two workers do, or one dies half-way, consumers see the same event again.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from functools import partial

import structlog

from abuse.ledger.expiry import ended, settle
from abuse.ledger.ledger import Ledger
from stream.events.flag_output import flag_output
from stream.kafka.publishing import Publisher
from stream.runtime.clock import Clock
from stream.runtime.patience import RetryPolicy

log = structlog.get_logger()

#: A turn lasts so many sweeps: a worker that died is replaced after it.
TURN_SWEEPS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeper:
    """Waits while table or broker are away."""

    ledger: Ledger
    publisher: Publisher
    patience: RetryPolicy
    clock: Clock
    flags_topic: str
    source: str
    every_s: float
    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self.every_s)
            await self.sweep()

    async def sweep(self) -> int:
        """One round, if it is our turn: how many flags expired."""
        turn_ms = int(TURN_SWEEPS * self.every_s * 1000)
        if not await self.patience.until_available(lambda: self.ledger.take_turn(self.name, turn_ms)):
            return 0
        events = await self.patience.until_available(lambda: ended(self.ledger, self.clock.now_ms()))
        for event in events:
            await self.publisher.publish([flag_output(event, self.flags_topic, self.source)])
            await self.patience.until_available(partial(settle, self.ledger, event))
        if events:
            log.info("flags_expired", count=len(events))
        return len(events)
