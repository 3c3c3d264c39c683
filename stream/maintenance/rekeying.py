"""Every face print to the hash key in force now, so that the key before can be removed without forgetting a face.

Beside running workers, and as often as one likes: a face already moved is passed over, so a run that was cut short is
taken up by the next. A face is first copied and, once no search is under way that may not have seen the copy, dropped
under its old key: who looks for it finds it at every moment.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from abuse.faces.face_index import EnrolledReference, FaceIndex, IndexBucket
from abuse.faces.template_protection import TemplateProtection
from stream.runtime.patience import RetryPolicy

#: Faces moved at once.
PAGE = 32
#: Round trips of a search that may end after its deadline, each within its timeout: the last that began in time, a
#: closer look, the faces found. And one to spare.
TRIPS_AFTER_DEADLINE = 4

Page = Sequence[tuple[IndexBucket, EnrolledReference]]


def longest_search_s(deadline_s: float, call_timeout_s: float) -> float:
    """How long a worker's search takes at most before it ends or is begun anew."""
    return deadline_s + TRIPS_AFTER_DEADLINE * call_timeout_s


@dataclass(slots=True, kw_only=True)
class Rekeyed:
    """`moved`: faces turned to the key. `current`: met under it, some of those just moved once more. `lost`: under a
    key that nobody holds any more; they are found by nobody and expire by themselves. `waiting`: came again within
    minutes after their correlation id was erased; a later run moves them."""

    key: str
    tenants: int = 0
    moved: int = 0
    current: int = 0
    lost: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rekeying:
    """`overlap_s`: how long a copied face stays under its old key as well, `longest_search_s` of the workers."""

    index: FaceIndex
    keys: TemplateProtection
    patience: RetryPolicy
    overlap_s: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _copied: deque[tuple[float, Page]] = field(default_factory=deque, init=False)

    async def run(self, now_ms: int, tenants: Sequence[str | None] | None = None) -> Rekeyed:
        """Of these tenants, or of all. May be repeated."""
        done = Rekeyed(key=self.keys.in_force(now_ms))
        if tenants is None:
            tenants = await self.patience.until_available(self.index.tenants)
        for tenant in tenants:
            await self._tenant(tenant, now_ms, done)
            done.tenants += 1
        while self._copied:
            await self.sleep(max(0.0, self._copied[0][0] - self.clock()))
            await self._drop_due(done)
        return done

    async def _tenant(self, tenant: str | None, now_ms: int, done: Rekeyed) -> None:
        page: list[tuple[IndexBucket, EnrolledReference]] = []
        async for bucket, reference in self.index.references(tenant, now_ms):
            turned = self._turned(reference, done)
            if turned is not None:
                page.append((bucket, turned))
            if len(page) == PAGE:
                await self._copy(page, done)
                await self._drop_due(done)
                page = []
        await self._copy(page, done)

    def _turned(self, reference: EnrolledReference, done: Rekeyed) -> EnrolledReference | None:
        """Under the key in force; None for one that is, or that can't be."""
        if reference.template.key_id == done.key:
            done.current += 1
            return None
        try:
            return replace(reference, template=self.keys.rotate(reference.template, reference.tenant, done.key))
        except KeyError:
            done.lost += 1
            return None

    async def _copy(self, page: Page, done: Rekeyed) -> None:
        copied = await asyncio.gather(*(self._copy_one(bucket, reference) for bucket, reference in page))
        stand = [each for each, is_copied in zip(page, copied, strict=True) if is_copied]
        done.waiting += len(page) - len(stand)
        if stand:
            self._copied.append((self.clock() + self.overlap_s, stand))

    async def _drop_due(self, done: Rekeyed) -> None:
        while self._copied and self._copied[0][0] <= self.clock():
            _, page = self._copied.popleft()
            await asyncio.gather(*(self._drop_one(bucket, reference) for bucket, reference in page))
            done.moved += len(page)

    async def _copy_one(self, bucket: IndexBucket, reference: EnrolledReference) -> bool:
        return await self.patience.until_available(lambda: self.index.copy(bucket, reference))

    async def _drop_one(self, bucket: IndexBucket, reference: EnrolledReference) -> None:
        await self.patience.until_available(lambda: self.index.drop(bucket, reference))
