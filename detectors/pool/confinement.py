"""Confinement of a slot process, before a stranger's file is looked at. Runs in the slot only."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_NO_NEW_PRIVS = 38


def confine(memory_mib: int, parent_pid: int) -> None:
    """Die with the parent, dump no core, keep to the memory limit, leave interrupts to the parent.

    Not dumpable as well as RLIMIT_CORE 0: the limit alone doesn't stop a core that is piped to a program.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.prctl(_PR_SET_NAME, b"liveness-slot", 0, 0, 0)
        limit = memory_mib * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if os.getppid() != parent_pid:  # the parent died before the death signal was set
        raise SystemExit(1)
