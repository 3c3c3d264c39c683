"""Cost of finding a face among those enrolled: time, memory and recall, by how many are kept.

Run by `reuse_indexes`. An index of its own on the configured Redis is filled to each size in turn, its faces spread
evenly over the window. The faces are made up as templates of photographs lie: all near a common direction, strangers
0.85 apart and less. Then further faces are searched, each planted near an enrolled one; a comparison with all
tells what should be found.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from abuse.faces.face_index import EnrolledReference, FacePlan
from abuse.faces.protected_template import ProtectedTemplate
from abuse.faces.redis_face_index import RedisFaceIndex
from abuse.redis_port import RedisClient
from config.settings import Settings
from stream.bench.redis_room import Say
from tests.bench.growth import Row, measured, percentiles, used_memory

DIMENSIONS, LENGTH, STRANGERS_APART = 128, 1.0, 0.85
#: How far apart a planted pair is, and what is searched within.
PLANTED, WITHIN = (0.1, 0.5), 0.5
FILL_BATCH = 20
MODEL, KEY = "bench", "k1"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceBenchPlan:
    """`index`: its time limit is a search's in a worker; here it would cut off what is to be measured."""

    sizes: Sequence[int] = (10_000, 100_000)
    met: int = 200
    at_once: int = 4
    index: FacePlan = field(default_factory=lambda: FacePlan(deadline_s=60))


class NoVectorSets(Exception):
    """The server keeps no faces: Redis 8.0 or newer does."""


def measure(settings: Settings, plan: FaceBenchPlan, say: Say) -> list[Row]:
    """Blocks. Raises NoVectorSets, `config.errors.Unavailable`."""
    return measured(settings, say, plan.sizes, lambda calls, prefix: _Bench(calls, prefix, plan))


class _Bench:
    def __init__(self, calls: RedisClient, prefix: str, plan: FaceBenchPlan) -> None:
        self._calls, self._plan = calls, plan
        self._index = RedisFaceIndex(calls, prefix, plan.index)
        self._chance = np.random.default_rng(7)
        common = self._chance.standard_normal(DIMENSIONS)
        self._common = common / np.linalg.norm(common) * LENGTH
        self._gallery: NDArray[np.float32] = np.zeros((0, DIMENSIONS), "<f4")
        self._now_ms = time.time_ns() // 1_000_000
        self._bytes_before: int | None = None
        self._probes = 0
        self._cpu_s = self._took_s = 0.0

    async def at(self, size: int, say: Say) -> Row:
        """Latencies are of whole calls; `busy` with `at_once` of them under way, `add` without any search."""
        if not await self._index.supported():
            raise NoVectorSets
        if self._bytes_before is None:
            self._bytes_before = await used_memory(self._calls)
        say(f"Filling the index to {size:,} faces.")
        adds = await self._fill(size)
        used = await used_memory(self._calls) - self._bytes_before
        say(f"Meeting {2 * self._plan.met} more.")
        alone, found = await self._meet(1)
        cpu_ms = self._cpu_s * 1000 / self._plan.met
        busy, more = await self._meet(self._plan.at_once)
        places = {self._plan.index.bucket(self._reference(n, self._gallery[n])) for n in range(size)}
        return {
            "faces": size,
            "places": len(places),
            **percentiles("add", adds),
            **percentiles("meet", alone),
            **percentiles("busy", busy),
            "busy_per_s": len(busy) / self._took_s,
            "cpu_ms": cpu_ms,
            "recall": (found[0] + more[0]) / max(1, found[1] + more[1]),
            "bytes_per_face": used // size,
        }

    async def _fill(self, size: int) -> list[float]:
        """In batches, as fast as it goes; then the last hundred one by one, timed."""
        begin, spread = len(self._gallery), STRANGERS_APART / np.sqrt(2 * DIMENSIONS)
        more = self._chance.standard_normal((size - begin, DIMENSIONS)) * spread + self._common
        self._gallery = np.concatenate([self._gallery, more.astype("<f4")])
        timed, taken = min(100, size - begin), list[float]()
        for start in range(begin, size - timed, FILL_BATCH):
            batch = range(start, min(start + FILL_BATCH, size - timed))
            await self._index.enrol([self._reference(n, self._gallery[n]) for n in batch])
        for number in range(size - timed, size):
            began = time.monotonic()
            await self._index.enrol([self._reference(number, self._gallery[number])])
            taken.append(time.monotonic() - began)
        return taken

    async def _meet(self, at_once: int) -> tuple[list[float], tuple[int, int]]:
        """Seconds each took; near faces found, and all there were."""
        taken, found = list[float](), list[tuple[int, int]]()
        probes = iter([self._probe() for _ in range(self._plan.met)])
        self._cpu_s = -time.process_time()

        async def one_after_another() -> None:
            for reference, near in probes:
                began = time.monotonic()
                await self._index.enrol([reference])
                met = await self._index.search(reference, WITHIN)
                taken.append(time.monotonic() - began)
                found.append((len(near & {hit.submission_id for hit in met.candidates}), len(near)))

        began_all = time.monotonic()
        await asyncio.gather(*(one_after_another() for _ in range(at_once)))
        self._cpu_s += time.process_time()
        self._took_s = time.monotonic() - began_all
        return taken, (sum(told for told, _ in found), sum(there for _, there in found))

    def _probe(self) -> tuple[EnrolledReference, set[str]]:
        """A face near a kept one, and the submissions it is near to. All are of one correlation id, whose faces are
        left out."""
        self._probes += 1
        off = self._chance.standard_normal(DIMENSIONS)
        off *= self._chance.uniform(*PLANTED) / np.linalg.norm(off)
        vector = self._gallery[self._chance.integers(len(self._gallery))] + off.astype("<f4")
        apart = np.linalg.norm(self._gallery - vector, axis=1)
        near = {f"sub-{number}" for number in np.flatnonzero(apart <= WITHIN)}
        return self._reference(-self._probes, vector, "probe"), near

    def _reference(
        self, number: int, vector: NDArray[np.float32], correlation_id: str | None = None
    ) -> EnrolledReference:
        """Spread over the window evenly whatever the size: by the golden section."""
        ago = 0.0 if number < 0 else number * 0.6180339887498949 % 1.0
        return EnrolledReference(
            tenant=None,
            correlation_id=correlation_id or str(uuid.UUID(int=number)),
            submission_id=f"sub-{number}",
            session_id=None,
            at_ms=self._now_ms - round(ago * self._plan.index.window_ms),
            template=ProtectedTemplate(MODEL, KEY, vector.astype("<f4").tobytes()),
        )
