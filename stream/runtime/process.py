"""How a worker's process asks its system and its interpreter to run it: for throughput beside its own slots."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import sys

#: Young objects before a collection looks at them. Nearly all of a submission's are freed by counting alone.
YOUNG_OBJECTS = 10_000
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def yield_to_slots() -> None:
    """Run when a core is free or a slot's turn is over, never by interrupting a slot.

    Every event wakes the worker several times for a moment. Interrupting a slot each time costs both processes
    their caches; waiting for the end of a turn, a few milliseconds at most, lets several events share one
    wake-up. Children inherit the setting. No effect on a system that doesn't know or allow it.
    """
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def freeze_loaded_objects() -> None:
    """Exclude all that is loaded from garbage collection: those objects live as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


def die_with_parent() -> None:
    """Be killed by the system when the parent process ends. No effect on a system that doesn't know it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
