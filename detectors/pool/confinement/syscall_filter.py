"""The system call filter: a BPF program of `syscalls`, which the kernel asks at every call of a slot.

Ours instead of libseccomp's, which is a system library that a slim image or another distribution may not have. No call
that the program refuses ends the process (a library may try one and go on without), but for calls by another machine's
numbers, which no library makes.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys

from detectors.pool.confinement import syscalls
from detectors.pool.confinement.landlock import LayerMissing
from detectors.pool.confinement.syscalls import MACHINES, Condition, Machine

# linux/bpf_common.h
LOAD, AND, RETURN = 0x20, 0x54, 0x06
JUMP_IF_EQUAL, JUMP_IF_ABOVE = 0x15, 0x25

# linux/seccomp.h
ALLOW, KILL_PROCESS, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_SET_MODE_FILTER, _ALL_THREADS = 1, 1

REFUSED, ABSENT = ERRNO | errno.EPERM, ERRNO | errno.ENOSYS

_NUMBER, _ARCHITECTURE = 0, 4
_INSTRUCTION = struct.Struct("=HBBI")
Instruction = tuple[int, int, int, int]


def install(pid: int) -> None:
    """Filter the calls of every thread of this process from now on, for good. Raises LayerMissing."""
    machine = MACHINES.get(platform.machine()) if sys.platform == "linux" and sys.maxsize > 2**32 else None
    if machine is None:
        raise LayerMissing(f"no filter for {sys.platform} on {platform.machine()}")
    packed = b"".join(_INSTRUCTION.pack(*each) for each in program(machine, pid))
    instructions = ctypes.create_string_buffer(packed, len(packed))
    header = struct.pack("@HP", len(packed) // _INSTRUCTION.size, ctypes.addressof(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ctypes.c_long(machine.seccomp), _SET_MODE_FILTER, _ALL_THREADS, header):
        raise LayerMissing(f"refused by the kernel: {errno.errorcode.get(ctypes.get_errno(), 'another thread')}")


def program(machine: Machine, pid: int) -> list[Instruction]:
    """The filter: an answer for each call by number, and by arguments where `syscalls.rules` has conditions."""
    made = [
        (LOAD, 0, 0, _ARCHITECTURE),
        (JUMP_IF_EQUAL, 1, 0, machine.audit_arch),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, _NUMBER),
        (JUMP_IF_ABOVE, 0, 1, syscalls.LAST_KNOWN),
        (RETURN, 0, 0, ABSENT),
    ]
    for number in syscalls.allowed(machine):
        made += [(JUMP_IF_EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    for number in syscalls.absent(machine):
        made += [(JUMP_IF_EQUAL, 0, 1, number), (RETURN, 0, 0, ABSENT)]
    for number, conditions in syscalls.rules(machine, pid).items():
        body = [instruction for condition in conditions for instruction in _refuse_unless(condition)]
        made += [(JUMP_IF_EQUAL, 0, len(body) + 1, number), *body, (RETURN, 0, 0, ALLOW)]
    return [*made, (RETURN, 0, 0, REFUSED)]


def _refuse_unless(condition: Condition) -> list[Instruction]:
    """Instructions that go on behind their end if the condition is met."""
    values = len(condition.values)
    hits = [(JUMP_IF_EQUAL, values - place, 0, value) for place, value in enumerate(condition.values)]
    return [(LOAD, 0, 0, condition.offset), (AND, 0, 0, condition.mask), *hits, (RETURN, 0, 0, REFUSED)]
