"""The slot pool: processes in which native code meets strangers' pictures, and nowhere else.

In order: `settings`, `pool` (queue, a keeper a slot, quarantine for second attempts), `slot_maker` and
`launcher` (the worker's side of the fork server), `fork_server` (a process of its own), `confinement`
(what a slot gives up), `slot_process` (the slot's loop), `slot` (one slot seen from the worker),
`blocks` (pictures in shared memory), `messages` (the rest, in short frames), `outcomes` (what comes back).

A job is the frames of one submission: one slot, one deadline, an analysis a frame. A deadline kills the slot
(`SlotTimeout`); a lost process costs its job a second attempt in a fresh process of its own, and the second loss is
`SlotCrashed`; an exception is an analysis that failed with INFERENCE_ERROR; each time the slot is replaced and no other
job notices. If the worker dies, the fork server sees its socket end and kills every slot within milliseconds. (A
process forked from the worker without exec would hold the socket open: never fork so.)

Why not pebble: pebble unpickles in the parent what a process that has read a stranger's file wrote; its
processes outlive a killed worker while they spin; and a job costs more, as pictures go through a pipe: 0.59 ms of
processor time for a no-op job of 300 KB, 0.10 here (pebble 5.2.3, two slots on two cores). Shared memory isn't dearer
for the smallest picture either, so there is no second path. With a real analysis (9 ms CPU, cold caches, the answer
coded and checked on both sides) the pool takes 0.7 ms.

A slot imports what an analysis needs and nothing of Kafka, Faust or Redis: 98 MB private to a ready slot where the
worker's modules make it 148, and 0.34 s in place of 1.9 from the kill of a slot to two pictures analysed (M).
"""

from detectors.pool.confinement.layers import Confinement, Layer, hide_memory
from detectors.pool.outcomes import (
    AnalyserRefused,
    CrashCause,
    PoolClosed,
    RestartReason,
    SlotCrashed,
    SlotStartError,
    SlotTimeout,
)
from detectors.pool.plan import AnalyserFactory
from detectors.pool.pool import SlotPool
from detectors.pool.settings import PoolSettings

__all__ = [
    "AnalyserFactory",
    "AnalyserRefused",
    "Confinement",
    "CrashCause",
    "Layer",
    "PoolClosed",
    "PoolSettings",
    "RestartReason",
    "SlotCrashed",
    "SlotPool",
    "SlotStartError",
    "SlotTimeout",
    "hide_memory",
]
