"""What the pool answers and reports: expected ends are values, the rest are exceptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class CrashCause(StrEnum):
    """How a slot process was lost."""

    SIGNAL = "signal"
    EXIT = "exit"
    MALFORMED_REPLY = "malformed_reply"


class RestartReason(StrEnum):
    """Why a slot process was replaced; the closed label set of a metric."""

    TIMEOUT = "timeout"
    CRASH = "crash"
    RECYCLED = "recycled"
    #: `analyse` raised. A MediaPipe graph that failed once fails every later picture too: reuse nothing.
    RAISED = "raised"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotTimeout:
    """The picture took longer than the deadline; its slot was killed. `queue_ms`: the wait for a slot."""

    deadline_s: float
    queue_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotCrashed:
    """The picture brought down two slots, the second one alone. `code`: signal number or exit status."""

    cause: CrashCause
    code: int
    queue_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotStats:
    """One slot process. `rss_mib` now, `peak_mib` since it was forked; 0 where /proc doesn't say."""

    pid: int
    busy: bool
    jobs: int
    rss_mib: float
    peak_mib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStats:
    """A snapshot for metrics. `quarantined`: pictures waiting for, or in, their second attempt."""

    slots: tuple[SlotStats, ...]
    busy: int
    queued: int
    quarantined: int
    restarts: Mapping[RestartReason, int]


class SlotStartError(Exception):
    """A slot could not be made ready. Its words come from building the analyser, never from a picture."""


class AnalyserRefused(SlotStartError):
    """The analyser's files are not what it was told they are: another try changes nothing."""


class PoolClosed(Exception):
    """The pool isn't running: not started, stopped meanwhile, or unable to start slots any more."""
