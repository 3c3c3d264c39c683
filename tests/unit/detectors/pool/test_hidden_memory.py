"""Memory and environment of a worker, its fork server and its slots are no other process' of the same user to read."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from detectors.contract import Analysis
from detectors.pool import Confinement
from tests.unit.detectors.pool import dumpable_once
from tests.unit.detectors.pool.conftest import MakePool
from tests.unit.detectors.pool.fakes import one

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a process hides by Linux's prctl")

SHOW, NOBODY = 4, 65534

#: A worker that does or doesn't hide, and another process of its user that reads what it can.
SCRIPT = f"""
import ctypes, os, sys
from pathlib import Path
from detectors.pool import hide_memory

os.setuid({NOBODY})
ctypes.CDLL(None).prctl({SHOW}, 1, 0, 0, 0)  # as after a start of its own: setuid hides too
sys.argv[1] == "hidden" and hide_memory()
worker = os.getpid()
if os.fork() == 0:
    ctypes.CDLL(None).prctl({SHOW}, 1, 0, 0, 0)
    for name in ("environ", "mem"):
        try:
            Path(f"/proc/{{worker}}/{{name}}").open("rb").close()
            print(name, flush=True)
        except PermissionError:
            pass
    os._exit(0)
os.wait()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="takes on another user")
@pytest.mark.parametrize(("mode", "read"), [("hidden", []), ("shown", ["environ", "mem"])])
def test_hidden_from_ones_own_user(mode: str, read: list[str]) -> None:
    """The second case is the counter-proof."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", SCRIPT, mode]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == read


class Report:
    """Analyser that tells whether the fork server, and then its slot, may be dumped."""

    def analyse(self, image: memoryview, *, measured: bool = False, rest: object = None) -> Analysis:
        return Analysis(message=f"{dumpable_once.AT_IMPORT} {dumpable_once.now()}")


@pytest.mark.parametrize(("confinement", "dumpable"), [(Confinement.WARN, 0), (Confinement.OFF, 1)])
async def test_all_three_hide(make_pool: MakePool, confinement: Confinement, dumpable: int) -> None:
    ctypes.CDLL(None).prctl(SHOW, 1, 0, 0, 0)
    try:
        pool = await make_pool(Report, preload=(dumpable_once.__name__,), confinement=confinement)
        answer = await one(pool, b"picture")
        in_slot = 1 if dumpable else -1  # refused: a slot that is shut may not even ask
        assert (dumpable_once.now(), answer.message) == (dumpable, f"{dumpable} {in_slot}")
    finally:
        ctypes.CDLL(None).prctl(SHOW, 1, 0, 0, 0)
