"""The sweeper: flags and sessions that expire are published as such, by one worker at a time.

Sweeping is idempotent: if two workers sweep, or one dies half-way, consumers see the same event again.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field

import structlog

from abuse.flags.flags import FlagEvent
from abuse.ledger.expiry import expire_due, record_expiry, turn_ms
from abuse.ledger.ledger import Ledger
from abuse.redis_port import FOREIGN, ForeignValue
from abuse.store_time import StoreTime
from stream.events.wire.flag_output import flag_output
from stream.events.wire.session_events import session_output
from stream.kafka.agents.publishing import Publisher
from stream.maintenance.left_aside import LeftAside
from stream.runtime.patience import RetryPolicy
from stream.sessions.expiry import MOST_AT_ONCE, expire
from stream.sessions.session_store import SessionName, SessionStore

log = structlog.get_logger()

#: Errors of reading a value that no worker of this release wrote.
UNREADABLE = (ForeignValue, *FOREIGN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeper:
    """The sweep as a background task, by the store's time. Each round waits while the table or the broker are away."""

    ledger: Ledger
    publisher: Publisher
    patience: RetryPolicy
    time: StoreTime
    flags_topic: str
    source: str
    every_s: float
    sessions: SessionStore | None = None
    sessions_topic: str = ""
    aside: LeftAside[SessionName] = field(default_factory=LeftAside)
    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self.every_s)
            await self.sweep()

    async def sweep(self) -> int:
        """Sweep once if the turn is this worker's. Returns how many flags expired."""
        retry = self.patience.until_available
        if not await retry(self.ledger.take_turn, self.name, turn_ms(self.every_s)):
            return 0
        now_ms = await retry(self.time.now_ms)
        events = await self._expired(now_ms)
        for event in events:
            await self.publisher.publish([flag_output(event, self.flags_topic, self.source)])
            await retry(record_expiry, self.ledger, event)
        if events:
            log.info("flags_expired", count=len(events))
        if self.sessions is not None:
            await self._expire_sessions(self.sessions, now_ms)
        return len(events)

    async def _expired(self, now_ms: int) -> list[FlagEvent]:
        """Events of flags that expired; none while one of them can't be read, which ends no worker."""
        try:
            return await self.patience.until_available(expire_due, self.ledger, now_ms)
        except UNREADABLE as error:
            log.error("flag_sweep_failed", error=type(error).__name__)
            return []

    async def _expire_sessions(self, sessions: SessionStore, now_ms: int) -> None:
        """Expire sessions until none is due, or the time of one sweep is over: the next one goes on."""
        loop, count = asyncio.get_running_loop(), 0
        ends_s = loop.time() + self.every_s
        while names := await self._due(sessions, now_ms):
            count += sum(await asyncio.gather(*(self._expire_session(sessions, name) for name in names)))
            if loop.time() >= ends_s:
                break
        if count:
            log.info("sessions_expired", count=count)

    async def _due(self, sessions: SessionStore, now_ms: int) -> list[SessionName]:
        self.aside.passed()
        due = await self.patience.until_available(sessions.due, now_ms, MOST_AT_ONCE + len(self.aside))
        return self.aside.others(due, MOST_AT_ONCE)

    async def _expire_session(self, sessions: SessionStore, name: SessionName) -> bool:
        """Whether the session expired; it is due no more. One that can't be read stays due; the others expire."""
        retry = self.patience.until_available
        try:
            event = await retry(expire, sessions, name)
        except UNREADABLE as error:
            log.error("session_sweep_failed", error=type(error).__name__)
            self.aside.add(name)
            return False
        if event is not None:
            await self.publisher.publish([session_output(event, self.sessions_topic, self.source)])
        await retry(sessions.settle, [name])
        return event is not None
