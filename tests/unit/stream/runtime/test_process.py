"""Scheduling and garbage collection of a worker, tried in processes of their own: neither can be undone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def printed(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="this system has no batch scheduling")
def test_worker_interrupts_no_slot():
    script = """
import os, subprocess, sys
from stream.runtime.process import yield_to_slots
yield_to_slots()
child = subprocess.run([sys.executable, "-c", "import os; print(os.sched_getscheduler(0) == os.SCHED_BATCH)"],
                       capture_output=True, text=True, check=True)
print(os.sched_getscheduler(0) == os.SCHED_BATCH, child.stdout.strip())
"""
    assert printed(script).split() == ["True", "True"]


def test_system_may_not_allow_it():
    script = """
import os
from stream.runtime import process
def refuse(*_): raise PermissionError
os.sched_setscheduler = refuse
process.yield_to_slots()
print("alive")
"""
    assert printed(script).strip() == "alive"


def test_what_is_loaded_is_kept_from_the_collector_and_collecting_goes_on():
    script = """
import gc
from stream.runtime.process import YOUNG_OBJECTS, freeze_loaded_objects
freeze_loaded_objects()
print(gc.get_freeze_count() > 1000, gc.isenabled(), gc.get_threshold()[0] == YOUNG_OBJECTS)
"""
    assert printed(script).split() == ["True", "True", "True"]
