"""How a worker's process asks its system and its interpreter to run it: for throughput beside its own slots."""

from __future__ import annotations

import contextlib
import gc
import os

#: Young objects before a collection looks at them. Nearly all of a submission's are freed by counting alone.
YOUNG_OBJECTS = 10_000


def yield_to_slots() -> None:
    """Don't interrupt whoever computes: run when a core is free or the other's turn is over.

    Every event wakes the worker several times for a moment. Interrupting a slot each time costs both of them
    their caches; waiting for the end of a turn, a few milliseconds at most, lets several events share one
    wake-up. Children inherit it. Left as it is where the system doesn't know it or doesn't allow it.
    """
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def settle() -> None:
    """Once everything is loaded: keep the collector from walking what will live as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
