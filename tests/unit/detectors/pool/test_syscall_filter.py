"""The filter's program, carried out here for both machines: what the kernel would answer to a call."""

from __future__ import annotations

import struct

import pytest

from detectors.pool.confinement import syscall_filter, syscalls
from detectors.pool.confinement.syscall_filter import ABSENT, ALLOW, KILL_PROCESS, REFUSED
from detectors.pool.confinement.syscalls import MACHINES

PID = 4711
O_CREAT, F_SETOWN, PR_SET_DUMPABLE = 0o100, 8, 4

#: (x86_64, aarch64, arguments, answer)
CALLS = {
    "read": (0, 63, (), ALLOW),
    "mmap": (9, 222, (), ALLOW),
    "futex": (202, 98, (), ALLOW),
    "recvfrom": (45, 207, (), ALLOW),
    "open to read": (257, 56, (0, 0, 0o2000000), ALLOW),
    "open to write": (257, 56, (0, 0, 1), REFUSED),
    "open to read and write": (257, 56, (0, 0, 2), REFUSED),
    "create": (257, 56, (0, 0, O_CREAT), REFUSED),
    "high bits hide no flag": (257, 56, (0, 0, 1 << 32 | 1), REFUSED),
    "own signal": (62, 129, (PID, 6), ALLOW),
    "signal to another": (62, 129, (PID + 1, 9), REFUSED),
    "signal to all": (62, 129, (2**64 - 1, 9), REFUSED),
    "signal to the group": (62, 129, (0, 9), REFUSED),
    "signal to a thread of another": (234, 131, (1, 1, 9), REFUSED),
    "duplicate": (72, 25, (3, 1030), ALLOW),
    "aim signals": (72, 25, (3, F_SETOWN, 1), REFUSED),
    "be traced": (157, 167, (PR_SET_DUMPABLE, 1), REFUSED),
    "name a thread": (157, 167, (15,), ALLOW),
    "type into a terminal": (16, 29, (0, 0x5412), REFUSED),
    "read own limit": (302, 261, (0, 7, 0, 1), ALLOW),
    "set own limit": (302, 261, (0, 7, 1, 0), REFUSED),
    "set own limit, high address": (302, 261, (0, 7, 1 << 32, 0), REFUSED),
    "read another's limit": (302, 261, (1, 7, 0, 1), REFUSED),
    "socket": (41, 198, (), REFUSED),
    "socketpair": (53, 199, (), REFUSED),
    "connect": (42, 203, (), REFUSED),
    "sendmsg": (46, 211, (), REFUSED),
    "clone": (56, 220, (0x3D0F00,), REFUSED),
    "clone3": (435, 435, (), ABSENT),
    "openat2": (437, 437, (), ABSENT),
    "execve": (59, 221, (), REFUSED),
    "execveat": (322, 281, (), REFUSED),
    "ptrace": (101, 117, (), REFUSED),
    "unlinkat": (263, 35, (), REFUSED),
    "mount": (165, 40, (), REFUSED),
    "unshare": (272, 97, (), REFUSED),
    "perf_event_open": (298, 241, (), REFUSED),
    "io_uring_enter": (426, 426, (), REFUSED),
    "memfd_create": (319, 279, (), REFUSED),
    "seccomp": (317, 277, (), REFUSED),
    "a call of a later kernel": (600, 600, (), ABSENT),
    "getpid of x32": (0x40000027, 0x40000027, (), ABSENT),
}


def answer(machine: str, number: int, arguments: tuple[int, ...], architecture: int | None = None) -> int:
    """The program's return value: an interpreter of the five instructions that the program has."""
    described = MACHINES[machine]
    padded = (*arguments, *(0,) * (6 - len(arguments)))
    seen = struct.pack("<iIQ6Q", number, architecture or described.audit_arch, 0, *padded)
    instructions = syscall_filter.program(described, PID)
    place = accumulator = 0
    while True:
        code, when, otherwise, operand = instructions[place]
        place += 1
        match code:
            case syscall_filter.LOAD:
                (accumulator,) = struct.unpack_from("<I", seen, operand)
            case syscall_filter.AND:
                accumulator &= operand
            case syscall_filter.JUMP_IF_EQUAL:
                place += when if accumulator == operand else otherwise
            case syscall_filter.JUMP_IF_ABOVE:
                place += when if accumulator > operand else otherwise
            case syscall_filter.RETURN:
                return operand


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_are_answered(machine: str) -> None:
    column = MACHINES[machine].column
    found = {name: answer(machine, call[column], call[2]) for name, call in CALLS.items()}
    assert found == {name: call[3] for name, call in CALLS.items()}


@pytest.mark.parametrize("machine", MACHINES)
def test_other_architectures_are_killed(machine: str) -> None:
    """Calls of 32-bit programs have other numbers: 11 is execve there and munmap here."""
    i386, arm = 0x40000003, 0x40000028
    others = {described.audit_arch for name, described in MACHINES.items() if name != machine}
    assert {answer(machine, 11, (), architecture) for architecture in (i386, arm, *others)} == {KILL_PROCESS}


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_numbers_are_of_one_call_each(machine: syscalls.Machine) -> None:
    named = [*syscalls.allowed(machine), *syscalls.absent(machine), *syscalls.rules(machine, PID)]
    assert len(named) == len({*named})
    assert max(named) <= syscalls.LAST_KNOWN
