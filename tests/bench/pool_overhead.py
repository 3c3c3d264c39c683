"""CPU cost of one no-op job, parent and slots together: this pool against pebble's.

    python tests/bench/pool_overhead.py [jobs]

Prints one line a picture size. Pebble gets the picture as an argument (pickled through its pipe), since
that is how it is used without further code.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterable

from pebble import ProcessPool

from detectors.contract import Analysis, Frame
from detectors.pool import PoolSettings, SlotPool

SLOTS = 2
SIZES = (4_000, 64_000, 300_000, 2_000_000, 10_000_000)
AT_ONCE = 8
WARM_UP = 50

Job = Callable[[bytes], Awaitable[object]]


class NoOp:
    def analyse(self, image: memoryview, *, measured: bool = False, rest: object = None) -> Analysis:
        return Analysis(cpu_ms=0.001)


def length(image: bytes) -> int:
    return len(image)


def cpu_s(pids: Iterable[int]) -> float:
    """User and system time of this process and of `pids`, from the scheduler's own nanoseconds."""
    total = time.process_time()
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                total += int(file.read().split()[0]) / 1e9
    return total


async def measure(label: str, job: Job, pids: Callable[[], Iterable[int]], jobs: int) -> None:
    for size in SIZES:
        image = os.urandom(size)
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(image: bytes = image, limit: asyncio.Semaphore = limit) -> None:
            async with limit:
                await job(image)

        count = max(WARM_UP, min(jobs, jobs * 300_000 // size))
        await asyncio.gather(*(one() for _ in range(WARM_UP)))
        own, everyone, wall = time.process_time(), cpu_s(pids()), time.perf_counter()
        await asyncio.gather(*(one() for _ in range(count)))
        own, everyone = time.process_time() - own, cpu_s(pids()) - everyone
        wall = time.perf_counter() - wall
        print(
            f"{label:>6} {size:>10} bytes: {everyone / count * 1e3:7.3f} ms CPU a job, "
            f"parent {own / count * 1e3:7.3f}, wall {wall / count * 1e3:7.3f}"
        )


async def measure_pebble(jobs: int) -> None:
    context = multiprocessing.get_context("forkserver")
    with ProcessPool(max_workers=SLOTS, context=context) as pool:

        async def job(image: bytes) -> object:
            return await asyncio.wrap_future(pool.schedule(length, args=(image,), timeout=10))

        # No public name: the processes are children of the fork server, not of this one.
        await measure("pebble", job, lambda: [w.pid for w in pool._pool_manager.worker_manager.workers.values()], jobs)


async def measure_slots(jobs: int) -> None:
    pool = SlotPool(NoOp, settings=PoolSettings(slots=SLOTS, preload=(), recycle_after=10**9))
    await pool.start()

    async def job(image: bytes) -> object:
        return await pool.analyse((Frame(image),))

    await measure("slots", job, lambda: [slot.pid for slot in pool.stats().slots], jobs)
    await pool.stop()


async def main() -> None:
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    await measure_pebble(jobs)
    await measure_slots(jobs)


if __name__ == "__main__":
    import pool_overhead  # the factory must be importable, which nothing in __main__ is

    asyncio.run(pool_overhead.main())
