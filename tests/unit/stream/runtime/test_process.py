"""Scheduling and garbage collection of a worker, tried in processes of their own: neither can be undone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

BATCH = """
import os, subprocess, sys
from stream.runtime.process import yield_to_slots
yield_to_slots()
child = subprocess.run([sys.executable, "-c", "import os; print(os.sched_getscheduler(0) == os.SCHED_BATCH)"],
                       capture_output=True, text=True, check=True)
print(os.sched_getscheduler(0) == os.SCHED_BATCH, child.stdout.strip())
"""
NOT_ALLOWED = """
import os
from stream.runtime import process
def refuse(*_): raise PermissionError
os.sched_setscheduler = refuse
print(process.yield_to_slots() is None)
"""
FROZEN = """
import gc
from stream.runtime.process import YOUNG_OBJECTS, freeze_loaded_objects
freeze_loaded_objects()
print(gc.get_freeze_count() > 1000, gc.isenabled(), gc.get_threshold()[0] == YOUNG_OBJECTS)
"""
NO_BATCH = pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="this system has no batch scheduling")


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(BATCH, marks=NO_BATCH, id="worker and children interrupt no slot"),
        pytest.param(NOT_ALLOWED, id="a system that doesn't allow it"),
        pytest.param(FROZEN, id="what is loaded is kept from the collector, and collecting goes on"),
    ],
)
def test_process_runs_as_asked(script: str) -> None:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert set(done.stdout.split()) == {"True"}
