"""Every face print to the hash key in force now, so that the key before can be removed without forgetting a face.

Beside running workers, and as often as one likes: a face already moved is passed over, so a run that was cut short is
taken up by the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from abuse.face_index import FaceIndex, FacePlace, FaceSighting
from abuse.face_keys import FaceKeys
from stream.patience import Patience

#: Faces moved at once.
PAGE = 32


@dataclass(slots=True, kw_only=True)
class Rekeyed:
    """`moved`: faces turned to the key. `current`: met under it, some of those just moved once more. `lost`: under a
    key that nobody holds any more; they are found by nobody and expire by themselves."""

    key: str
    tenants: int = 0
    moved: int = 0
    current: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rekeying:
    index: FaceIndex
    keys: FaceKeys
    patience: Patience

    async def run(self, now_ms: int, tenants: Sequence[str | None] | None = None) -> Rekeyed:
        """Of these tenants, or of all. May be repeated."""
        done = Rekeyed(key=self.keys.in_force(now_ms))
        if tenants is None:
            tenants = await self.patience.insist(self.index.tenants)
        for tenant in tenants:
            await self._tenant(tenant, now_ms, done)
            done.tenants += 1
        return done

    async def _tenant(self, tenant: str | None, now_ms: int, done: Rekeyed) -> None:
        page: list[tuple[FacePlace, FaceSighting]] = []
        async for place, sighting in self.index.prints(tenant, now_ms):
            turned = self._turned(sighting, done)
            if turned is not None:
                page.append((place, turned))
            if len(page) == PAGE:
                await self._move(page, done)
                page = []
        await self._move(page, done)

    def _turned(self, sighting: FaceSighting, done: Rekeyed) -> FaceSighting | None:
        """Under the key in force; None for one that is, or that can't be."""
        if sighting.print.key_id == done.key:
            done.current += 1
            return None
        try:
            return replace(sighting, print=self.keys.rotate(sighting.print, sighting.tenant, done.key))
        except KeyError:
            done.lost += 1
            return None

    async def _move(self, page: Sequence[tuple[FacePlace, FaceSighting]], done: Rekeyed) -> None:
        await asyncio.gather(*(self._replace(place, sighting) for place, sighting in page))
        done.moved += len(page)

    async def _replace(self, place: FacePlace, sighting: FaceSighting) -> None:
        await self.patience.insist(lambda: self.index.replace(place, sighting))
