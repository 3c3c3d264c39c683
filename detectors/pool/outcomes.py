"""Outcomes of a job, the port of the pool, and its statistics: expected ends are values, others exceptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from detectors.contract import Analysis, Frame


class CrashCause(StrEnum):
    """Cause of the loss of a slot process."""

    SIGNAL = "signal"
    EXIT = "exit"
    MALFORMED_REPLY = "malformed_reply"


class RestartReason(StrEnum):
    """Reason why a slot process was replaced; the closed label set of a metric."""

    TIMEOUT = "timeout"
    CRASH = "crash"
    RECYCLED = "recycled"
    #: `analyse` raised. A MediaPipe graph that failed once fails every later picture too: reuse nothing.
    RAISED = "raised"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotTimeout:
    """Job that took longer than the deadline; its slot was killed. `queue_ms`: the wait for a slot, milliseconds."""

    deadline_s: float
    queue_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotCrashed:
    """Job that ended two slots, the second a process of its own. `code`: signal number or exit status."""

    cause: CrashCause
    code: int
    queue_ms: float


#: An analysis a frame, in the order of the frames, or what became of the slot.
PoolOutcome = tuple[Analysis, ...] | SlotTimeout | SlotCrashed


class FramePool(Protocol):
    """Port of the slot pool, for the detect stage and the command line; `SlotPool` is the adapter."""

    async def analyse(self, frames: Sequence[Frame], /, *, measured: bool = False) -> PoolOutcome:
        """Analyse the frames of one submission in one slot, under one deadline. Waits for a slot; never raises for
        what a frame contains. `measured` asks for the measures of active liveness. May be repeated. Raises PoolClosed
        when the pool doesn't run, ValueError unless there are 1 to `MAX_FRAMES` frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotStats:
    """Statistics of a slot process: memory now and at its peak since the fork, MiB; 0 where /proc doesn't say."""

    pid: int
    busy: bool
    jobs: int
    rss_mib: float
    peak_mib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStats:
    """Snapshot of the pool for metrics. `quarantined`: jobs waiting for, or in, their second attempt."""

    slots: tuple[SlotStats, ...]
    busy: int
    queued: int
    quarantined: int
    restarts: Mapping[RestartReason, int]


class SlotStartError(Exception):
    """Slot that could not be made ready; the words come from building the analyser, never from a picture."""


class AnalyserRefused(SlotStartError):
    """Model files of the analyser are missing or not as configured: another try changes nothing."""


class PoolClosed(Exception):
    """Pool that doesn't run: not started, stopped meanwhile, or unable to start slots any more."""
