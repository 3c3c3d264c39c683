"""Cost of finding a picture among those kept: commands, time and memory, by how many are kept.

Run by `reuse_indexes`. An index of its own on the configured Redis is filled to each size in turn with random hashes
spread over the window; then further pictures are searched, half of them a few bits away from an enrolled one.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from abuse.keys.key_periods import HashKey
from abuse.pictures.media_index import EnrolledImage, MediaPlan
from abuse.pictures.media_keys import MediaKeys
from abuse.pictures.redis_media_index import RedisMediaIndex
from config.settings import Settings
from stream.bench.redis_room import Say
from tests.bench.growth import CountedCalls, Row, measured, percentiles, used_memory

WITHIN_BITS = 6
FILL_BATCH = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaBenchPlan:
    sizes: Sequence[int] = (100_000, 1_000_000)
    met: int = 500
    index: MediaPlan = field(default_factory=MediaPlan)


def measure(settings: Settings, plan: MediaBenchPlan, say: Say) -> list[Row]:
    """Blocks. Raises `config.errors.Unavailable`."""
    return measured(settings, say, plan.sizes, lambda calls, prefix: _Bench(CountedCalls(calls), prefix, plan))


class _Bench:
    def __init__(self, calls: CountedCalls, prefix: str, plan: MediaBenchPlan) -> None:
        self._calls, self._plan = calls, plan
        self._keys = MediaKeys([HashKey(id="bench", secret=b"0" * 32)], plan.index.window_ms)
        self._index = RedisMediaIndex(calls, prefix, plan.index)
        self._chance = random.Random(7)  # a load, not a secret
        self._now_ms = time.time_ns() // 1_000_000
        self._looks: list[int] = []
        self._met = 0
        self._bytes_before: int | None = None

    async def at(self, size: int, say: Say) -> Row:
        """`commands` and `lines` of a call are means; `found` is the share of planted pictures that are found."""
        if self._bytes_before is None:
            self._bytes_before = await used_memory(self._calls)
        say(f"Filling the index to {size:,} pictures.")
        await self._fill(size)
        used = await used_memory(self._calls) - self._bytes_before
        say(f"Meeting {self._plan.met} more.")
        self._calls.commands = self._calls.lines = 0
        began, taken, found = time.process_time(), list[float](), 0
        for number in range(self._plan.met):
            planted = number % 2 == 0
            image = self._image(-1 - self._met, self._near(planted))
            start = time.monotonic()
            await self._index.enrol([image])
            hits = await self._index.search(image, WITHIN_BITS)
            taken.append(time.monotonic() - start)
            self._met += 1
            found += planted and bool(hits)
        return {
            "pictures": size,
            "commands": self._calls.commands / self._plan.met,
            "lines": self._calls.lines / self._plan.met,
            **percentiles("meet", taken),
            "cpu_ms": (time.process_time() - began) * 1000 / self._plan.met,
            "found": found / ((self._plan.met + 1) // 2),
            "bytes_per_picture": used // size,
        }

    async def _fill(self, size: int) -> None:
        for start in range(len(self._looks), size, FILL_BATCH):
            looks = [self._chance.getrandbits(64) for _ in range(min(FILL_BATCH, size - start))]
            images = [self._image(start + offset, each) for offset, each in enumerate(looks)]
            await self._index.enrol(images)
            self._looks += looks

    def _near(self, planted: bool) -> int:
        look = self._chance.choice(self._looks) if planted else self._chance.getrandbits(64)
        for bit in self._chance.sample(range(64), self._chance.randint(0, WITHIN_BITS)):
            look ^= 1 << bit
        return look

    def _image(self, number: int, perceptual: int) -> EnrolledImage:
        ago = 0.0 if number < 0 else self._chance.random()
        at_ms = self._now_ms - round(ago * self._plan.index.window_ms)
        file, pixels = f"{number % 2**64:064x}", f"{number % 2**64 + 2**64:064x}"
        return EnrolledImage(
            tenant=None,
            correlation_id=str(uuid.UUID(int=number % 2**64)),
            submission_id=str(uuid.UUID(int=number % 2**64 + 2**64)),
            session_id=None,
            at_ms=at_ms,
            hashes=self._keys.hashes(None, file, pixels, perceptual, at_ms),
        )
