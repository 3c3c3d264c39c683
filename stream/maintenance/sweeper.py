"""The sweeper: flags and sessions that expire are published as such, by one worker at a time.

Sweeping is idempotent: if two workers sweep, or one dies half-way, consumers see the same event again.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from abuse.ledger import expiry
from abuse.ledger.expiry import expiry_of, record_expiry, turn_ms
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

T = TypeVar("T", bound=Hashable)


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
    flags_aside: LeftAside[str] = field(default_factory=LeftAside)
    sessions_aside: LeftAside[SessionName] = field(default_factory=LeftAside)
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
        count = 0
        for flag_id in await self._due(self.ledger.due, now_ms, expiry.MOST_AT_ONCE, self.flags_aside):
            count += await self._expire_flag(flag_id, now_ms)
        if count:
            log.info("flags_expired", count=count)
        if self.sessions is not None:
            await self._expire_sessions(self.sessions, now_ms)
        return count

    async def _due(
        self, due: Callable[[int, int], Awaitable[Sequence[T]]], now_ms: int, most: int, aside: LeftAside[T]
    ) -> list[T]:
        """The first that are due, without those that could not be read just now."""
        aside.passed()
        return aside.others(await self.patience.until_available(due, now_ms, most + len(aside)), most)

    async def _expire_flag(self, flag_id: str, now_ms: int) -> bool:
        """Whether the flag expired. One that can't be read stays due; the others expire."""
        retry = self.patience.until_available
        try:
            event = await retry(expiry_of, self.ledger, flag_id, now_ms)
        except UNREADABLE as error:
            log.error("flag_sweep_failed", error=type(error).__name__)
            self.flags_aside.add(flag_id)
            return False
        if event is not None:
            await self.publisher.publish([flag_output(event, self.flags_topic, self.source)])
            await retry(record_expiry, self.ledger, event)
        return event is not None

    async def _expire_sessions(self, sessions: SessionStore, now_ms: int) -> None:
        """Expire sessions until none is due, or the time of one sweep is over: the next one goes on."""
        loop, count = asyncio.get_running_loop(), 0
        ends_s = loop.time() + self.every_s
        while names := await self._due(sessions.due, now_ms, MOST_AT_ONCE, self.sessions_aside):
            count += sum(await asyncio.gather(*(self._expire_session(sessions, name) for name in names)))
            if loop.time() >= ends_s:
                break
        if count:
            log.info("sessions_expired", count=count)

    async def _expire_session(self, sessions: SessionStore, name: SessionName) -> bool:
        """Whether the session expired; it is due no more. One that can't be read stays due; the others expire."""
        retry = self.patience.until_available
        try:
            event = await retry(expire, sessions, name)
        except UNREADABLE as error:
            log.error("session_sweep_failed", error=type(error).__name__)
            self.sessions_aside.add(name)
            return False
        if event is not None:
            await self.publisher.publish([session_output(event, self.sessions_topic, self.source)])
        await retry(sessions.settle, [name])
        return event is not None
