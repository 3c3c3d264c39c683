"""System calls of a slot at work: the few that an analyser with its files open needs, by name and by machine.

The list goes by what a call is for, and was held against traces of slots with every network, format and fault of a
picture. What is not here is refused. So is starting a thread: libraries start theirs while the analyser is built.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Name and number on x86_64 and on aarch64 (arch/x86/entry/syscalls/syscall_64.tbl, asm-generic/unistd.h; a dash: the
#: machine hasn't the call), by what calls are for: memory; threads and time; own signals; open files; paths;
#: the process itself and the system.
_ALLOWED = """
    mmap:9:222 mprotect:10:226 munmap:11:215 brk:12:214 mremap:25:216 msync:26:227 mincore:27:232 madvise:28:233
    membarrier:324:283

    sched_yield:24:124 pause:34:- nanosleep:35:101 exit:60:93 gettimeofday:96:169 getrusage:98:165 times:100:153
    sched_getparam:143:121 sched_getscheduler:145:120 gettid:186:178 time:201:- futex:202:98
    sched_getaffinity:204:123 set_tid_address:218:96 restart_syscall:219:128 clock_gettime:228:113
    clock_getres:229:114 clock_nanosleep:230:115 exit_group:231:94 set_robust_list:273:99 getcpu:309:168
    rseq:334:293

    rt_sigaction:13:134 rt_sigprocmask:14:135 rt_sigreturn:15:139 rt_sigpending:127:136 rt_sigtimedwait:128:137
    rt_sigsuspend:130:133 sigaltstack:131:132

    read:0:63 write:1:64 close:3:57 fstat:5:80 poll:7:- lseek:8:62 pread64:17:67 readv:19:65 writev:20:66 pipe:22:-
    select:23:- dup:32:23 dup2:33:- sendto:44:206 recvfrom:45:207 getdents64:217:61 fadvise64:221:223
    pselect6:270:72 ppoll:271:73 dup3:292:24 pipe2:293:59 close_range:436:436

    stat:4:- lstat:6:- access:21:- getcwd:79:17 readlink:89:- newfstatat:262:79 readlinkat:267:78 faccessat:269:48
    statx:332:291 faccessat2:439:439

    getpid:39:172 uname:63:160 getrlimit:97:163 sysinfo:99:179 getuid:102:174 getgid:104:176 geteuid:107:175
    getegid:108:177 getppid:110:173 getrandom:318:278
"""
#: Allowed with certain arguments only: see `rules`.
_CONDITIONAL = """
    open:2:- ioctl:16:29 kill:62:129 fcntl:72:25 prctl:157:167 tgkill:234:131 openat:257:56 prlimit64:302:261
"""
#: Absent as on an old kernel, so that the C library falls back to calls that are looked at.
_ABSENT = "clone3:435:435 openat2:437:437"

#: A call's number beyond this one is newer than these tables (or of x32), and absent.
LAST_KNOWN = 450

# fcntl.h, the same on both machines: access mode, O_CREAT, O_TRUNC, __O_TMPFILE
_WRITING = 0o3 | 0o100 | 0o1000 | 0o20000000
# fcntl.h: F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC. Not F_SETOWN, which sends signals.
_FCNTL = (0, 1, 2, 3, 4, 1030)
# asm-generic/ioctls.h: TCGETS, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
_IOCTL = (0x5401, 0x541B, 0x5421, 0x5450, 0x5451)
# linux/prctl.h: PR_SET_NAME, PR_GET_NAME, PR_SET_VMA. Not PR_SET_DUMPABLE, nor the parent-death signal.
_PRCTL = (15, 16, 0x53564D41)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of a rule: the 32-bit word at `offset` of seccomp_data, masked, is one of `values`."""

    offset: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Machine:
    """Kind of processor: its name in seccomp_data (linux/audit.h), and which column of the tables is its own."""

    audit_arch: int
    column: int
    seccomp: int

    def numbers(self, calls: str) -> dict[str, int]:
        found = (call.split(":") for call in calls.split())
        return {name: int(columns[self.column]) for name, *columns in found if columns[self.column] != "-"}


MACHINES = {"x86_64": Machine(0xC000003E, 0, 317), "aarch64": Machine(0xC00000B7, 1, 277)}


def allowed(machine: Machine) -> list[int]:
    """Numbers of the calls that are allowed with any arguments."""
    return sorted(machine.numbers(_ALLOWED).values())


def absent(machine: Machine) -> list[int]:
    """Numbers of the calls that are answered as by a kernel that hasn't them."""
    return sorted(machine.numbers(_ABSENT).values())


def rules(machine: Machine, pid: int) -> dict[int, tuple[Condition, ...]]:
    """Conditions, all of which the arguments of a call must meet, by its number; `pid` is the slot's own."""
    conditions = {
        "open": (Condition(_low(1), (0,), _WRITING),),
        "openat": (Condition(_low(2), (0,), _WRITING),),
        "kill": (Condition(_low(0), (pid,)),),
        "tgkill": (Condition(_low(0), (pid,)),),
        "fcntl": (Condition(_low(1), _FCNTL),),
        "ioctl": (Condition(_low(1), _IOCTL),),
        "prctl": (Condition(_low(0), _PRCTL),),
        # The slot's own limits, to read: without a new limit.
        "prlimit64": (Condition(_low(0), (0, pid)), Condition(_low(2), (0,)), Condition(_high(2), (0,))),
    }
    return {number: conditions[name] for name, number in machine.numbers(_CONDITIONAL).items()}


def _low(argument: int) -> int:
    """Offset of an argument's lower half in seccomp_data (little endian); of an int, all that the kernel looks at."""
    return 16 + 8 * argument


def _high(argument: int) -> int:
    return _low(argument) + 4
