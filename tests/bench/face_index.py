"""Cost of finding a face among those enrolled: time, memory and recall, by how many are kept.

Run by `reuse_indexes`. An index of its own on the configured Redis is filled to each size in turn, its faces spread
evenly over the window. The faces are made up as templates of photographs lie: all near a common direction, strangers
0.85 apart and less. Then further faces are searched, each planted near an enrolled one or a stranger; a comparison with
all tells what should be found. The search with mirrors and the one by Redis alone take turns.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from abuse.faces.face_index import EnrolledReference, FacePlan
from abuse.faces.protected_template import ProtectedTemplate
from abuse.faces.redis_face_index import RedisFaceIndex
from abuse.redis_port import RedisClient
from tests.bench.growth import Row, percentiles

DIMENSIONS, LENGTH, STRANGERS_APART = 128, 1.0, 0.85
#: How far apart a planted pair is, and what is searched within.
PLANTED, WITHIN = (0.1, 0.5), 0.5
FILL_BATCH = 20
#: Turns of each way to search.
ROUNDS = 4
AT_ONCE = 4
MODEL, KEY = "bench", "k1"
#: A face to search for, and the submissions it is near to.
_Probe: TypeAlias = tuple[EnrolledReference, set[str]]


class NoVectorSets(Exception):
    """The server keeps no faces: Redis 8.0 or newer does."""


@dataclass(slots=True)
class _Way:
    """A way to search, and what was measured of it. Times in seconds; faces found, and all there were."""

    index: RedisFaceIndex
    alone: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    busy_took: float = 0.0
    worker_cpu: float = 0.0
    redis_cpu: float = 0.0
    found: int = 0
    near: int = 0

    def row(self) -> Row:
        return {
            **percentiles("meet", self.alone),
            **percentiles("busy", self.busy),
            "busy_per_s": len(self.busy) / self.busy_took,
            "cpu_ms": self.worker_cpu * 1000 / len(self.alone),
            "redis_cpu_ms": self.redis_cpu * 1000 / len(self.alone),
            "recall": self.found / max(1, self.near),
        }


class FaceBench:
    """Index of faces. `met`: searches one after the other, and as many `AT_ONCE`, in each way. `strangers`: search for
    faces that nobody else shows, as most submissions do. Raises NoVectorSets."""

    def __init__(self, calls: RedisClient, prefix: str, plan: FacePlan, met: int, *, strangers: bool) -> None:
        self._calls, self._prefix, self._plan, self._met, self._strangers = calls, prefix, plan, met, strangers
        self._index = self._index_with(plan)
        self._chance = np.random.default_rng(7)
        common = self._chance.standard_normal(DIMENSIONS)
        self._common = common / np.linalg.norm(common) * LENGTH
        self._gallery: NDArray[np.float32] = np.zeros((0, DIMENSIONS), "<f4")
        self._now_ms = time.time_ns() // 1_000_000
        self._probes = 0

    def _index_with(self, plan: FacePlan) -> RedisFaceIndex:
        """The index as a worker on a single server has it."""
        return RedisFaceIndex(self._calls, self._prefix, plan, in_order=True)

    async def measure(self) -> Row:
        """Latencies are of whole calls; `busy` with `AT_ONCE` of them under way, `add` without any search."""
        ways = {
            "mirrored": _Way(self._index_with(self._plan)),
            "by_redis": _Way(self._index_with(replace(self._plan, mirror_bytes=0))),
        }
        read, read_s = await self._read_mirrors(ways["mirrored"])
        for _ in range(ROUNDS):
            for way in ways.values():
                await self._turn(way, self._met // ROUNDS)
        places = {self._plan.bucket(self._reference(n, face)) for n, face in enumerate(self._gallery)}
        return {
            "places": len(places),
            "searches_until_read": read,
            "read_cpu_s": read_s,
            "mirror_bytes": ways["mirrored"].index.mirrors.nbytes,
            **{name: way.row() for name, way in ways.items()},
        }

    async def _read_mirrors(self, way: _Way) -> tuple[int, float]:
        """Search until the mirrors are read; the number of searches, and the processor time they took."""
        took, searches, before = 0.0, 0, -1
        while before != way.index.mirrors.faces:
            before = way.index.mirrors.faces
            for probe, _ in [self._probe() for _ in range(8)]:
                took -= time.process_time()
                await way.index.search(probe, WITHIN)
                took += time.process_time()
                searches += 1
        return searches, took

    async def _turn(self, way: _Way, count: int) -> None:
        """So many searches one after the other, then as many at once."""
        first, then = ([self._probe() for _ in range(count)] for _ in range(2))
        way.redis_cpu -= await self._redis_cpu()
        way.worker_cpu -= time.process_time()
        way.alone += await self._meet(way, first, 1)
        way.worker_cpu += time.process_time()
        way.redis_cpu += await self._redis_cpu()
        began = time.monotonic()
        way.busy += await self._meet(way, then, AT_ONCE)
        way.busy_took += time.monotonic() - began

    async def _redis_cpu(self) -> float:
        (info,) = await self._calls.execute([("INFO", "cpu")])
        lines = info.decode().splitlines() if isinstance(info, bytes) else []
        return sum(
            float(line.partition(":")[2]) for line in lines if line.startswith(("used_cpu_user:", "used_cpu_sys:"))
        )

    async def fill(self, size: int) -> Row:
        """In batches, as fast as it goes; then the last hundred one by one, timed."""
        if not await self._index.supported():
            raise NoVectorSets
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
        return percentiles("add", taken)

    async def _meet(self, way: _Way, faces: Sequence[_Probe], at_once: int) -> list[float]:
        """Seconds each took."""
        taken, probes = list[float](), iter(faces)

        async def one_after_another() -> None:
            for reference, near in probes:
                began = time.monotonic()
                met = await way.index.search(reference, WITHIN, enrol=True)
                taken.append(time.monotonic() - began)
                way.found += len(near & {hit.submission_id for hit in met.candidates})
                way.near += len(near)

        await asyncio.gather(*(one_after_another() for _ in range(at_once)))
        return taken

    def _probe(self) -> _Probe:
        """A face near a kept one, or of a stranger, and the submissions it is near to. All are of one correlation id,
        whose faces are left out."""
        self._probes += 1
        off = self._chance.standard_normal(DIMENSIONS)
        if self._strangers:
            vector = (self._common + off * STRANGERS_APART / np.sqrt(2 * DIMENSIONS)).astype("<f4")
        else:
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
            at_ms=self._now_ms - round(ago * self._plan.window_ms),
            template=ProtectedTemplate(MODEL, KEY, vector.astype("<f4").tobytes()),
        )
