"""The abuse table for the command line: connected components without Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from abuse.event_time import MS
from abuse.keys.key_checks import KeyChecks
from abuse.ledger.ledger import Ledger
from abuse.links.link_store import LinkStore
from abuse.review.audit import AuditLog, CommandLog
from abuse.review.erasure import Erasures
from abuse.review.redis_audit import RedisAuditLog, RedisCommandLog
from abuse.store_time import RedisTime, StoreTime
from config.settings import Settings
from stream.bootstrap.abuse import open_erasures, open_key_checks, open_ledger, open_links
from stream.bootstrap.join import open_parts_restoring
from stream.bootstrap.sessions import open_session_store
from stream.bootstrap.shared import open_store
from stream.maintenance.one_content import OneContent
from stream.maintenance.parts_restoring import PartsRestoring
from stream.maintenance.sessions_restoring import SessionsRestoring
from stream.pipeline.decision_store import DecisionStore
from stream.redis.client import connect
from stream.redis.installation import mark_rebuilt
from stream.redis.marker import marker_keys
from stream.review.queries import Queries
from stream.review.session_queries import SessionQueries
from stream.runtime.patience import RetryPolicy
from stream.sessions.session_store import SessionStore

#: How long a person waits for Redis.
PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Components that a command on the abuse table may use, for as long as `table` is open."""

    ledger: Ledger
    links: LinkStore
    audit: AuditLog
    commands: CommandLog
    decisions: DecisionStore
    erasures: Erasures
    parts: PartsRestoring
    restoring: SessionsRestoring
    #: Writes the installation marker of that time, for workers that wait after a loss.
    mark_rebuilt: Callable[[int], Awaitable[None]]
    content: OneContent
    secrets: KeyChecks
    patience: RetryPolicy
    time: StoreTime
    sessions: SessionStore

    async def now_ms(self) -> int:
        """The store's time, waited for no longer than a person waits. Raises DependencyTimeout."""
        return await self.patience.until_available(self.time.now_ms, at_most_s=PATIENCE_S)

    @property
    def queries(self) -> Queries:
        return Queries(ledger=self.ledger, links=self.links, patience=self.patience, at_most_s=PATIENCE_S)

    @property
    def session_queries(self) -> SessionQueries:
        return SessionQueries(store=self.sessions, patience=self.patience, at_most_s=PATIENCE_S)


@asynccontextmanager
async def table(settings: Settings) -> AsyncIterator[Table]:
    """Open table; the connection is closed at the end. Raises SettingsError."""
    calls, prefix = connect(settings.redis), settings.redis_prefix
    policy, store = settings.policy(), open_store(settings, calls)
    markers = marker_keys(prefix, cluster=settings.redis.cluster)
    time, patience = RedisTime(calls), RetryPolicy()
    sessions = open_session_store(settings, calls)
    try:
        yield Table(
            ledger=open_ledger(settings, policy, calls),
            links=open_links(settings, policy, calls),
            audit=RedisAuditLog(calls, prefix),
            commands=RedisCommandLog(calls, prefix),
            decisions=store,
            erasures=open_erasures(settings, policy, calls, store),
            parts=open_parts_restoring(settings, policy, calls, store, time, patience),
            mark_rebuilt=partial(mark_rebuilt, calls, markers),
            content=OneContent(calls, markers),
            secrets=open_key_checks(settings, calls),
            patience=patience,
            time=time,
            sessions=sessions,
            restoring=SessionsRestoring(
                store=sessions,
                decisions=store,
                time=time,
                patience=patience,
                retention_ms=settings.sessions.retention_s * MS,
                event_s=policy.deadlines.event_s,
            ),
        )
    finally:
        await calls.close()
