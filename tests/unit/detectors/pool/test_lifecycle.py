"""Start, recycling, stop, and what is left behind: nothing."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import signal
import time
from collections.abc import Callable

import psutil
import pytest

from detectors.pool import AnalyserRefused, Confinement, PoolClosed, PoolSettings, SlotPool, SlotStartError
from tests.unit.detectors.pool import fakes
from tests.unit.detectors.pool.fakes import one, picture


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def left_behind(make_pool: object) -> Callable[[], tuple[set[int], int]]:
    """Child processes and number of open files that are new since the test began; other tests' servers may run."""
    others, files = children(), open_files()
    return lambda: (children() - others, open_files() - files)


NOTHING = (set(), 0)


@pytest.mark.parametrize(
    ("factory", "args", "timeout_s", "kind", "words"),
    [
        (fakes.failing_factory, (FileNotFoundError("none"),), 20, AnalyserRefused, "FileNotFoundError: none"),
        (fakes.failing_factory, (TypeError("bug"),), 20, SlotStartError, "TypeError: bug"),
        (fakes.crashing_factory, (), 20, SlotStartError, r"ended while the analyser was built \(exit 3\)"),
        (fakes.slow_factory, (), 1.5, SlotStartError, "not (built|ready) in time"),
    ],
)
async def test_a_failing_factory_leaves_nothing(make_pool, left_behind, factory, args, timeout_s, kind, words):
    """Wrong model files (AnalyserRefused) are told from a bug."""
    with pytest.raises(SlotStartError, match=words) as failed:
        await make_pool(factory, args, slots=2, start_timeout_s=timeout_s)
    assert type(failed.value) is kind
    assert left_behind() == NOTHING


async def test_failing_fork_server_is_reported(make_pool, left_behind, monkeypatch):
    monkeypatch.setattr("detectors.pool.launcher._BOOT", "raise SystemExit(1)")
    with pytest.raises(SlotStartError, match="LIVENESS_SLOT_STDERR"):
        await make_pool()
    assert left_behind()[0] == set()


async def test_missing_preloads_are_skipped(make_pool):
    pool = await make_pool(preload=("no_such_module", "colorsys"))
    assert (await one(pool, picture("modules", "colorsys,faust"))).notes == ("colorsys",)


def test_unimportable_factories_are_refused():
    with pytest.raises(ValueError, match="picklable"):
        SlotPool(lambda: fakes.Scripted())
    local = type("Local", (fakes.Scripted,), {"__module__": "__main__"})
    with pytest.raises(ValueError, match="__main__"):
        SlotPool(local)


def test_settings_must_be_positive():
    for field in ("slots", "deadline_s", "start_timeout_s", "memory_mib", "max_image_bytes", "recycle_after"):
        with pytest.raises(ValueError, match=field):
            PoolSettings(**{field: 0})


async def test_pools_say_when_not_running(make_pool):
    pool = SlotPool(fakes.Scripted, settings=PoolSettings(slots=1, preload=()))
    with pytest.raises(PoolClosed, match="not been started"):
        await one(pool, b"x")
    await pool.stop()
    pool = await make_pool()
    with pytest.raises(RuntimeError, match="already"):
        await pool.start()
    await pool.stop()
    with pytest.raises(PoolClosed, match="stopped"):
        await one(pool, b"x")
    await pool.stop()


async def test_slots_are_recycled(make_pool, until):
    pool = await make_pool(recycle_after=3)
    pids = [(await one(pool, picture("pid"))).notes[0] for _ in range(7)]
    assert [pids.index(pid) for pid in pids] == [0, 0, 0, 3, 3, 3, 6]
    assert pool.stats().restarts == {"recycled": 2}
    await until(lambda: not os.path.exists(f"/proc/{pids[0]}"))


async def test_stats_show_the_slots(make_pool):
    """Slots are recycled at different times."""
    pool = await make_pool(slots=2, recycle_after=1000)
    assert pool._jobs_left == [1000, 500]
    await one(pool, picture("hog", 50))
    stats = pool.stats()
    assert (len(stats.slots), stats.busy, stats.queued, stats.quarantined) == (2, 0, 0, 0)
    assert sum(slot.jobs for slot in stats.slots) == 1
    assert all(slot.peak_mib >= slot.rss_mib > 1 for slot in stats.slots)
    assert max(slot.peak_mib for slot in stats.slots) > 50


async def test_stop_finishes_open_jobs(make_pool, left_behind, gate, until):
    pool = await make_pool(slots=2)
    jobs = [asyncio.create_task(one(pool, gate.image)) for _ in range(5)]
    await until(lambda: pool.stats().busy == 2)
    stopping = asyncio.create_task(pool.stop(grace_s=10))
    await asyncio.sleep(0)
    with pytest.raises(PoolClosed, match="stopped"):
        await one(pool, b"x")
    gate.open()
    await stopping
    assert [job.result().message for job in jobs] == ["passed"] * 5
    assert left_behind() == NOTHING


async def test_stop_kills_after_grace_period(make_pool, left_behind, until):
    pool = await make_pool(slots=2)
    jobs = [asyncio.create_task(one(pool, picture("spin_c"))) for _ in range(4)]
    crashing = asyncio.create_task(one(pool, picture("segv")))
    await until(lambda: pool.stats().busy == 2)
    started = time.monotonic()
    await pool.stop(grace_s=0.2)
    assert time.monotonic() - started < 10, "they would spin for ever"
    ends = await asyncio.gather(*jobs, crashing, return_exceptions=True)
    assert all(isinstance(end, PoolClosed) for end in ends)
    assert left_behind() == NOTHING


async def test_failed_restarts_fail_the_pool(make_pool, tmp_path, monkeypatch):
    monkeypatch.setattr("detectors.pool.slot_maker.RESPAWN_PAUSES_S", (0.01, 0.01))
    pool = await make_pool(fakes.once_only_factory, (str(tmp_path / "built"), 1), confinement=Confinement.OFF)
    with pytest.raises(PoolClosed, match="the model is gone"):
        await one(pool, picture("segv"))
    with pytest.raises(PoolClosed, match="the slot pool has failed"):
        await one(pool, picture("echo"))


async def test_failed_restarts_are_repeated(make_pool, tmp_path, monkeypatch):
    monkeypatch.setattr("detectors.pool.slot_maker.RESPAWN_PAUSES_S", (0.2, 0.2, 0.2))
    built = tmp_path / "built"
    pool = await make_pool(fakes.once_only_factory, (str(built), 1), confinement=Confinement.OFF)
    await one(pool, picture("raises"))
    waiting = asyncio.create_task(one(pool, picture("echo", "again")))
    built.write_bytes(b"")  # the model is back
    assert (await waiting).message == "again"


async def test_pid_1_reaps_orphaned_slots(make_pool, left_behind, until):
    libc = ctypes.CDLL(None)
    libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans come to this process, as they do to PID 1
    try:
        pool = await make_pool(slots=2)
        before = left_behind()[0]
        os.kill(int((await one(pool, picture("pid"))).notes[1]), signal.SIGKILL)
        await until(lambda: not pool.stats().slots)
        assert (await one(pool, picture("echo", "again"))).message == "again"
        assert not before & left_behind()[0]
    finally:
        libc.prctl(36, 0, 0, 0, 0)


async def test_stop_after_a_start_without_memory(monkeypatch):
    """The error of the start is the one that is told."""

    def no_memory(_size):
        raise OSError(errno.ENOMEM, "no memory")

    monkeypatch.setattr("detectors.pool.pool.ImageBlock", no_memory)
    pool = SlotPool(fakes.slow_factory)
    with pytest.raises(OSError, match="no memory"):
        await pool.start()
    await pool.stop()
