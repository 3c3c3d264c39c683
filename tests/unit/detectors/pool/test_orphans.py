"""A killed worker leaves no process and no shared memory behind; slots do not import its script."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import psutil
import pytest

from tests.unit.detectors.pool.conftest import gone, word_of

WORKER = """
import asyncio, sys
from pathlib import Path

Path(sys.argv[1]).open("a").write("imported\\n")

from detectors.pool import PoolSettings, SlotPool
from tests.unit.detectors.pool.fakes import Scripted, one, picture


async def main():
    pool = SlotPool(Scripted, settings=PoolSettings(slots=2, preload=()))
    await pool.start()
    spinning = [asyncio.create_task(one(pool, picture("spin_c"))) for _ in range(2)]
    if sys.argv[2] == "stop":
        await pool.stop(grace_s=0)
    else:
        await asyncio.gather(*spinning)


if __name__ == "__main__":
    asyncio.run(main())
"""


def start_worker(tmp_path, then: str) -> subprocess.Popen[bytes]:
    script = tmp_path / "worker"  # like a console script: no .py
    script.write_text(textwrap.dedent(WORKER))
    arguments = [script, tmp_path / "imports", then]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, start_new_session=True)


def words_of_family(pid: int) -> list[str]:
    return [word_of(child.pid) for child in psutil.Process(pid).children(recursive=True)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_an_ended_worker_leaves_nothing(tmp_path, until, number):
    """Signals to the group are the worker's to answer."""
    shared = set(os.listdir("/dev/shm"))
    with start_worker(tmp_path, "wait") as worker:
        await until(lambda: words_of_family(worker.pid).count("spinning") == 2)
        family = psutil.Process(worker.pid).children(recursive=True)
        assert len(family) == 3, "the fork server and two slots, deep in native code"
        for child in family:
            child.send_signal(signal.SIGINT)
            child.send_signal(signal.SIGTERM)
        assert not any(gone(child.pid) for child in family)
        worker.send_signal(number) if number == signal.SIGKILL else os.killpg(worker.pid, number)
        await until(lambda: all(gone(child.pid) for child in family))
        assert worker.stderr.read() == b""
    await until(lambda: set(os.listdir("/dev/shm")) <= shared)  # others may have some for a moment
    assert (tmp_path / "imports").read_text() == "imported\n"


async def test_stopping_workers_are_silent(tmp_path, until):
    with start_worker(tmp_path, "stop") as worker:
        _, noise = worker.communicate(timeout=20)
    assert b"resource_tracker" not in noise
    assert b"never retrieved" not in noise or b"PoolClosed" in noise
    assert worker.returncode == 0
