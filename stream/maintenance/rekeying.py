"""Re-keying of protected templates to the hash key in force, so that the key before can be removed.

Runs beside workers and may be repeated: references already moved are passed over, so that the next run takes up one cut
short. A reference is first copied and, once no search is under way that may have missed the copy, dropped under its old
key: every search finds the reference at any moment.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from abuse.faces.face_index import EnrolledReference, FaceIndex, IndexBucket
from abuse.faces.template_protection import TemplateProtection
from config.errors import Unavailable
from stream.runtime.patience import RetryPolicy

#: References moved at once.
PAGE = 32
#: Round trips of a search that may end after its deadline, each within its timeout: the last that began in time, a
#: closer look, the faces found. And one to spare.
TRIPS_AFTER_DEADLINE = 4

#: Fault of a run in which Redis lost its content.
EMPTIED = "it lost its content, or was rebuilt, while faces were moved"

Page = Sequence[tuple[IndexBucket, EnrolledReference]]


def longest_search_s(deadline_s: float, call_timeout_s: float) -> float:
    """The longest time, in seconds, that a worker's search takes before it ends or begins anew."""
    return deadline_s + TRIPS_AFTER_DEADLINE * call_timeout_s


async def _untold() -> None:
    """Content of an index in memory, which is always the same."""


@dataclass(slots=True, kw_only=True)
class Rekeyed:
    """Counts of references. `moved`: re-keyed. `current`: met under the key in force, some of the moved ones among
    them. `lost`: under a key that nobody holds any more; no search finds them, and they expire. `waiting`: enrolled
    again within minutes after their correlation id was erased; a later run moves them."""

    key: str
    tenants: int = 0
    moved: int = 0
    current: int = 0
    lost: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rekeying:
    """Re-keying of one face index. `overlap_s`: how long a copied reference stays under its old key as well, the
    workers' `longest_search_s`. `content` tells one content of Redis from another, as the installation's markers do:
    of an emptied Redis no face can be moved, nor can any be found to wait."""

    index: FaceIndex
    keys: TemplateProtection
    patience: RetryPolicy
    overlap_s: float
    content: Callable[[], Awaitable[object]] = _untold
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _copied: deque[tuple[float, Page]] = field(default_factory=deque, init=False)

    async def run(self, now_ms: int, tenants: Sequence[str | None] | None = None) -> Rekeyed:
        """Re-key the references of these tenants, or of all. May be repeated. Raises Unavailable where Redis lost its
        content meanwhile, after which nobody knows what was moved."""
        content = await self.patience.until_available(self.content)
        done = Rekeyed(key=self.keys.in_force(now_ms))
        if tenants is None:
            tenants = await self.patience.until_available(self.index.tenants)
        for tenant in tenants:
            await self.patience.until_available(self._tenant, tenant, now_ms, done)
            done.tenants += 1
        await self._drop_all(done)
        if await self.patience.until_available(self.content) != content:
            raise Unavailable("redis", EMPTIED)
        return done

    async def _tenant(self, tenant: str | None, now_ms: int, done: Rekeyed) -> None:
        """Re-key a tenant's references. Raises Unavailable where Redis goes away while they are read: what was copied
        is dropped first, so that a repetition counts each once."""
        before = replace(done)
        try:
            await self._read(tenant, now_ms, done)
        except Unavailable:
            await self._drop_all(done)
            done.current, done.lost, done.waiting = before.current, before.lost, before.waiting
            raise

    async def _read(self, tenant: str | None, now_ms: int, done: Rekeyed) -> None:
        page: list[tuple[IndexBucket, EnrolledReference]] = []
        async for bucket, reference in self.index.references(tenant, now_ms):
            rekeyed = self._rekeyed(reference, done)
            if rekeyed is not None:
                page.append((bucket, rekeyed))
            if len(page) == PAGE:
                await self._copy(page, done)
                await self._drop_due(done)
                page = []
        await self._copy(page, done)

    def _rekeyed(self, reference: EnrolledReference, done: Rekeyed) -> EnrolledReference | None:
        """The reference under the key in force; None if it already is, or can't be re-keyed."""
        if reference.template.key_id == done.key:
            done.current += 1
            return None
        try:
            return replace(reference, template=self.keys.rotate(reference.template, reference.tenant, done.key))
        except KeyError:
            done.lost += 1
            return None

    async def _copy(self, page: Page, done: Rekeyed) -> None:
        retry = self.patience.until_available
        results = await asyncio.gather(*(retry(self.index.copy, *each) for each in page))
        copied = [each for each, is_copied in zip(page, results, strict=True) if is_copied]
        done.waiting += len(page) - len(copied)
        if copied:
            self._copied.append((self.clock() + self.overlap_s, copied))

    async def _drop_all(self, done: Rekeyed) -> None:
        while self._copied:
            await self.sleep(max(0.0, self._copied[0][0] - self.clock()))
            await self._drop_due(done)

    async def _drop_due(self, done: Rekeyed) -> None:
        while self._copied and self._copied[0][0] <= self.clock():
            _, page = self._copied.popleft()
            retry = self.patience.until_available
            await asyncio.gather(*(retry(self.index.drop, *each) for each in page))
            done.moved += len(page)
