"""Cost of the slots' confinement: of a selfie, of a slot that is replaced, and what replacing leaves behind.

    .venv/bin/python -m tests.bench.slot_confinement [FOLDER] [--rounds 10] [--respawns 50]

Two pools of one slot, one confined and one not, take turns picture by picture and kill by kill, so that a busy machine
slows both alike. Settings, policy and networks are those of the environment. Figures are medians. A replacement is
from the kill of a slot to the next picture's answer; its processor time is all that the new slot used until then.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import time
from pathlib import Path

import psutil

from config.groups.processing import DetectionSettings
from config.settings import Settings
from detectors.contract import Frame
from detectors.pool import SlotPool
from stream.bootstrap.slots import open_pool
from tests.photographs import folder as usual_folder

MODES = ("off", "require")


async def analysed(pool: SlotPool, image: bytes) -> tuple[float, float]:
    """Processor and wall time of one picture, milliseconds."""
    started = time.perf_counter()
    outcome = await pool.analyse((Frame(image),))
    assert isinstance(outcome, tuple), outcome
    return outcome[0].cpu_ms, (time.perf_counter() - started) * 1000


async def replaced(pool: SlotPool, image: bytes) -> tuple[float, float]:
    """Processor time of the new slot, and wall time from the kill of the old one to the next answer, milliseconds."""
    (slot,) = pool.stats().slots
    os.kill(slot.pid, signal.SIGKILL)
    started = time.perf_counter()
    while pool.stats().slots:  # noqa: ASYNC110  # a pool has no event for it
        await asyncio.sleep(0)
    await analysed(pool, image)
    wall_ms = (time.perf_counter() - started) * 1000
    used = psutil.Process(pool.stats().slots[0].pid).cpu_times()
    return (used.user + used.system) * 1000, wall_ms


def fork_server(pool: SlotPool) -> psutil.Process:
    (slot,) = pool.stats().slots
    parent = psutil.Process(slot.pid).parent()
    assert parent is not None
    return parent


def show(mode: str, taken: list[tuple[float, float]], what: str) -> None:
    cpu, wall = (statistics.median(column) for column in zip(*taken, strict=True))
    print(f"{mode:8} {len(taken)} {what}: {cpu:6.2f} ms of processor time, {wall:6.2f} ms")


def held(pool: SlotPool) -> str:
    server = fork_server(pool)
    rss_mib = server.memory_info().rss / 2**20
    return f"{server.num_fds()} descriptors, {rss_mib:.1f} MiB, {len(server.children())} children"


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path, nargs="?", default=usual_folder())
    options.add_argument("--rounds", type=int, default=10)
    options.add_argument("--respawns", type=int, default=50)
    chosen = options.parse_args()
    images = [file.read_bytes() for file in sorted(chosen.folder.glob("*.jpg"))]
    settings = [Settings(detection=DetectionSettings(slots=1, confinement=mode)) for mode in MODES]
    pools = [open_pool(each, each.policy()) for each in settings]
    for pool in pools:
        await pool.start()
    times: list[list[tuple[float, float]]] = [[], []]
    for number in range(chosen.rounds + 1):
        for image in images:
            for taken, pool in zip(times, pools, strict=True):
                measured = await analysed(pool, image)
                if number:  # the first round warms up
                    taken.append(measured)
    for mode, taken in zip(MODES, times, strict=True):
        show(mode, taken, "pictures")
    before = [held(pool) for pool in pools]
    replacements: list[list[tuple[float, float]]] = [[], []]
    for _ in range(chosen.respawns):
        for taken, pool in zip(replacements, pools, strict=True):
            taken.append(await replaced(pool, images[0]))
    for mode, taken, earlier, pool in zip(MODES, replacements, before, pools, strict=True):
        show(mode, taken, "replacements")
        print(f"         fork server before: {earlier}; after: {held(pool)}")
    print(f"this process: {psutil.Process().num_fds()} descriptors")
    for pool in pools:
        await pool.stop()


if __name__ == "__main__":
    asyncio.run(main())
