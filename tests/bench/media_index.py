"""Cost of finding a picture among those kept: commands, time and memory, by how many are kept.

Run by `reuse_indexes`. An index of its own on the configured Redis is filled to each size in turn with random hashes
spread over the window; then further pictures are searched, half of them a few bits away from an enrolled one.
"""

from __future__ import annotations

import random
import time
import uuid

from abuse.keys.key_periods import HashKey
from abuse.pictures.media_index import EnrolledImage, MediaPlan
from abuse.pictures.media_keys import MediaKeys
from abuse.pictures.redis_media_index import RedisMediaIndex
from tests.bench.growth import CountedCalls, Row, percentiles

WITHIN_BITS = 6
FILL_BATCH = 40


class MediaBench:
    """Index of pictures, of which so many more are `met` at each size."""

    def __init__(self, calls: CountedCalls, prefix: str, met: int) -> None:
        self._calls, self._count, self._plan = calls, met, MediaPlan()
        self._keys = MediaKeys([HashKey(id="bench", secret=b"0" * 32)], self._plan.window_ms)
        self._index = RedisMediaIndex(calls, prefix, self._plan)
        self._chance = random.Random(7)  # a load, not a secret
        self._now_ms = time.time_ns() // 1_000_000
        self._looks: list[int] = []
        self._met = 0

    async def measure(self) -> Row:
        """`commands` and `lines` of a call are means; `found` is the share of planted pictures that are found."""
        self._calls.commands = self._calls.lines = 0
        began, taken, found = time.process_time(), list[float](), 0
        for number in range(self._count):
            planted = number % 2 == 0
            image = self._image(-1 - self._met, self._near(planted))
            start = time.monotonic()
            await self._index.enrol([image])
            hits = await self._index.search(image, WITHIN_BITS)
            taken.append(time.monotonic() - start)
            self._met += 1
            found += planted and bool(hits)
        return {
            "commands": self._calls.commands / self._count,
            "lines": self._calls.lines / self._count,
            **percentiles("meet", taken),
            "cpu_ms": (time.process_time() - began) * 1000 / self._count,
            "found": found / ((self._count + 1) // 2),
        }

    async def fill(self, size: int) -> Row:
        for start in range(len(self._looks), size, FILL_BATCH):
            looks = [self._chance.getrandbits(64) for _ in range(min(FILL_BATCH, size - start))]
            images = [self._image(start + offset, each) for offset, each in enumerate(looks)]
            await self._index.enrol(images)
            self._looks += looks
        return {}

    def _near(self, planted: bool) -> int:
        look = self._chance.choice(self._looks) if planted else self._chance.getrandbits(64)
        for bit in self._chance.sample(range(64), self._chance.randint(0, WITHIN_BITS)):
            look ^= 1 << bit
        return look

    def _image(self, number: int, perceptual: int) -> EnrolledImage:
        ago = 0.0 if number < 0 else self._chance.random()
        at_ms = self._now_ms - round(ago * self._plan.window_ms)
        file, pixels = f"{number % 2**64:064x}", f"{number % 2**64 + 2**64:064x}"
        return EnrolledImage(
            tenant=None,
            correlation_id=str(uuid.UUID(int=number % 2**64)),
            submission_id=str(uuid.UUID(int=number % 2**64 + 2**64)),
            session_id=None,
            at_ms=at_ms,
            hashes=self._keys.hashes(None, file, pixels, perceptual, at_ms),
        )
