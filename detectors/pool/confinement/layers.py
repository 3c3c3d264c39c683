"""Layers of confinement: what a slot gives up before a stranger's file is looked at. Runs in the slot only, but for
`hide_memory`."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import stat
import struct
import sys
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

from detectors.pool.confinement.landlock import LayerMissing, allow_reading_only
from detectors.pool.confinement.syscall_filter import install

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_NO_NEW_PRIVS = 38
# linux/capability.h: version 3 has two words of each set.
_CAPABILITY_VERSION = 0x20080522

#: Open files of a slot: libraries and models are read one at a time, a picture takes none.
_OPEN_FILES = 256


class Confinement(StrEnum):
    """Setting of the slots' confinement: what a slot does where a layer is missing."""

    WARN = "warn"
    REQUIRE = "require"
    OFF = "off"


class Layer(StrEnum):
    """Layer of confinement that a system may lack; the closed label set of a metric."""

    MEMORY = "memory"
    CAPABILITIES = "capabilities"
    LANDLOCK = "landlock"
    SECCOMP = "seccomp"
    LIMITS = "limits"


#: Layers that are missing, and why.
Missing = dict[Layer, str]


def hide_memory() -> str:
    """Refuse other processes of this user this process' memory and environment, and dump no core: for slots, their
    fork server and the worker. May be repeated; a program that is executed is visible again. Returns why not, or
    nothing."""
    if sys.platform != "linux":
        return f"not on {sys.platform}"
    return "" if _prctl(_PR_SET_DUMPABLE, 0) else "refused by the kernel"


def keep_order(memory_mib: int, parent_pid: int) -> None:
    """Die with the parent, leave interrupts to it, dump no core, gain no privileges, keep to the memory limit."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _prctl(_PR_SET_NAME, b"liveness-slot")
        limit = memory_mib * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if os.getppid() != parent_pid:  # the parent died before the death signal was set
        raise SystemExit(1)


def close_all_but(kept: Iterable[int]) -> None:
    """Close every descriptor above stderr's that is not named: what a fork inherited."""
    first = 3
    for descriptor in sorted(kept):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def confine(readable: Sequence[str]) -> Missing:
    """The layers that hold while the analyser is built; to be called before any thread is started. `readable`: files
    and folders with code and models."""
    landlock = _why_not(lambda: allow_reading_only(readable))
    why = {Layer.MEMORY: hide_memory(), Layer.LANDLOCK: landlock, Layer.CAPABILITIES: _no_capabilities()}
    limit_files()
    return {layer: words for layer, words in why.items() if words}


def shut() -> Missing:
    """The layers that hold from the first picture on: no process, no thread, no system call but a few."""
    _limit(resource.RLIMIT_NPROC, 0)  # not for root, to whom the filter refuses the same
    why = _why_not(lambda: install(os.getpid()))
    return {Layer.SECCOMP: why} if why else {}


def limit_files() -> None:
    """No file grows, and only some are open at a time."""
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    if not any(stat.S_ISREG(os.fstat(descriptor).st_mode) for descriptor in (1, 2)):  # but for a developer's log
        _limit(resource.RLIMIT_FSIZE, 0)


def _why_not(layer: Callable[[], None]) -> str:
    try:
        layer()
    except LayerMissing as missing:
        return str(missing)
    return ""


def _no_capabilities() -> str:
    """Give up what root or a privileged container may do, also to raise limits again."""
    if sys.platform != "linux":
        return f"not on {sys.platform}"
    header, none = struct.pack("=Ii", _CAPABILITY_VERSION, 0), struct.pack("=6I", *(0,) * 6)
    return "refused by the kernel" if ctypes.CDLL(None).capset(header, none) else ""


def _limit(which: int, most: int) -> None:
    _, hard = resource.getrlimit(which)
    if hard == resource.RLIM_INFINITY or hard > most:
        resource.setrlimit(which, (most, most))


def _prctl(option: int, argument: int | bytes) -> bool:
    return not ctypes.CDLL(None).prctl(option, argument, 0, 0, 0)
