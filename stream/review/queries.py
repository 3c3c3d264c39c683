"""Queries of the abuse table: what a reviewer reads, as typed values, page by page.

A page of flags takes three round trips however many flags there are: entries of the index, whose flags they are, and
those subjects' flags. Entries that turn out stale are left out, so that a page with many of them takes three more.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from abuse.flags.flags import FLAG_ID, Flag
from abuse.ledger.flag_index import ALL_TENANTS, Position, Scope, Selection
from abuse.ledger.ledger import Ledger, Locator, SubjectHistory, Switches
from abuse.links.link_store import LinkStore, cluster_around
from abuse.links.links import NO_CLUSTER, Cluster
from abuse.subjects import Subject, SubjectType
from stream.runtime.patience import Arguments, RetryPolicy, T

#: Flags in a page of `every_flag`.
PAGE = 500
#: Entries read at once at most, and how many to a flag that is wanted: some are stale.
MOST_ENTRIES, ENTRIES_A_FLAG = 2000, 1.25
_CURSOR = re.compile(rf"([0-9]{{1,15}})-([0-9]{{1,6}})-({FLAG_ID.strip('^$')})")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagPage:
    """Flags, newest first. `next`: the cursor of the page behind; None after the last."""

    flags: tuple[Flag, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectView:
    """A subject's attempts and flags, and the cluster of submissions that share a face or picture with its own."""

    history: SubjectHistory
    cluster: Cluster

    @property
    def is_empty(self) -> bool:
        return not (self.history.attempts or self.history.flags or self.cluster.links)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """Queries read only, so every call may be repeated. Each waits for Redis up to `at_most_s` seconds a step, then
    raises `stream.runtime.patience.DependencyTimeout`; `abuse.redis_port.ForeignValue` for a foreign key."""

    ledger: Ledger
    links: LinkStore
    patience: RetryPolicy
    at_most_s: float

    async def flags(self, selection: Selection, now_ms: int, *, limit: int, cursor: str | None = None) -> FlagPage:
        """A page of at most `limit` flags: open at `now_ms`, or with `selection.over` in any state. Raises ValueError
        for a cursor that no page had.

        A flag that changes meanwhile comes first again: it is on a page read anew from the start.
        """
        found, after = list[tuple[Flag, Position]](), _position(cursor)
        most, more = int((limit + 1) * ENTRIES_A_FLAG), True
        while more and len(found) <= limit:
            current, more, after = await self._read(selection, now_ms, after, most)
            found += current
            most = max(most, min(2 * most, MOST_ENTRIES))
        shown = found[:limit]
        return FlagPage(
            flags=tuple(flag for flag, _ in shown), next=_cursor(shown[-1][1]) if len(found) > limit else None
        )

    async def every_flag(self, selection: Selection, now_ms: int) -> AsyncIterator[Flag]:
        """Flags of all pages, each once. Of several pages the newest are read once more: flags may have changed."""
        seen: set[str] = set()
        first_end: str | None = None
        async for page in self._pages(selection, now_ms):
            first_end = first_end or page.next
            for flag in page.flags:
                seen.add(flag.flag_id)
                yield flag
        if first_end is not None:
            async for page in self._pages(selection, now_ms, down_to=_position(first_end)):
                for flag in page.flags:
                    if flag.flag_id not in seen:
                        seen.add(flag.flag_id)
                        yield flag

    async def _pages(
        self, selection: Selection, now_ms: int, down_to: Position | None = None
    ) -> AsyncIterator[FlagPage]:
        oldest_ms = -1 if down_to is None else down_to.at_ms
        page = await self.flags(selection, now_ms, limit=PAGE)
        yield page
        while (end := _position(page.next)) is not None and end.at_ms >= oldest_ms:
            page = await self.flags(selection, now_ms, limit=PAGE, cursor=page.next)
            yield page

    async def _read(
        self, selection: Selection, now_ms: int, after: Position | None, most: int
    ) -> tuple[list[tuple[Flag, Position]], bool, Position | None]:
        """Flags of the next `most` entries, each with the position behind it; whether there is more, and where."""
        listing = await self._until_available(self.ledger.listed, selection, after, most)
        held = await self._until_available(self.ledger.read_flags, [entry.flag_id for entry in listing.entries])
        found: list[tuple[Flag, Position]] = []
        for entry, after in listing.positions(after):  # noqa: B020  # begins behind the last one read
            flag = held.get(entry.flag_id)
            if flag is not None and entry.is_current(flag) and (selection.over or flag.open_at(now_ms)):
                found.append((flag, after))
        return found, listing.more, after

    async def flag(self, flag_id: str, scope: Scope = ALL_TENANTS) -> Flag | None:
        """A flag with its events (`documents`); None for an unknown one, and one outside the scope. Two round trips."""
        flag = (await self._until_available(self.ledger.read_flags, [flag_id])).get(flag_id)
        return flag if flag is not None and scope in (ALL_TENANTS, flag.tenant) else None

    async def locate(self, flag_id: str) -> Locator | None:
        """The tenant and subject of a flag; None for an unknown flag."""
        return await self._until_available(self.ledger.locate, flag_id)

    async def history(self, tenant: str | None, subject: Subject) -> SubjectView:
        """The history and cluster of a subject; only correlation ids have clusters."""
        history = await self._until_available(self.ledger.history, tenant, subject)
        cluster = NO_CLUSTER
        if subject.type is SubjectType.CORRELATION_ID:
            cluster = await self._until_available(cluster_around, self.links, tenant, subject.key)
        return SubjectView(history=history, cluster=cluster)

    async def switches(self, tenant: str | None) -> Switches:
        """The tenant's switches."""
        return await self._until_available(self.ledger.switches, tenant)

    async def _until_available(self, call: Callable[[*Arguments], Awaitable[T]], *arguments: *Arguments) -> T:
        return await self.patience.until_available(call, *arguments, at_most_s=self.at_most_s)


def _cursor(position: Position) -> str:
    return f"{position.at_ms}-{position.ties}-{position.flag_id}"


def _position(cursor: str | None) -> Position | None:
    """Raises ValueError."""
    if cursor is None:
        return None
    read = _CURSOR.fullmatch(cursor)
    if read is None:
        raise ValueError("expected the cursor of a page")
    return Position(at_ms=int(read[1]), ties=int(read[2]), flag_id=read[3])
