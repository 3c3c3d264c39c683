"""Attempts of native code that was taken over: each does harm and returns, or raises what it was refused with.

    python -m tests.unit.detectors.pool.attempts TARGET [LAYER ...]

makes every attempt in a process of its own, behind the layers named (by default none), and prints a JSON object of
what became of each. `Taken` is the analyser that makes the attempt a picture names.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from detectors.contract import Analysis
from detectors.pool.confinement import layers
from detectors.pool.confinement.landlock import allow_reading_only
from detectors.pool.confinement.readable import code_folders
from detectors.pool.confinement.syscall_filter import install

#: Numbers of system calls without a function in Python, on x86_64 and on aarch64.
NUMBERS = {
    "ptrace": (101, 117),
    "unshare": (272, 97),
    "setns": (308, 268),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "process_vm_readv": (310, 270),
    "userfaultfd": (323, 282),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "io_uring_setup": (425, 425),
    "memfd_create": (319, 279),
    "shmget": (29, 194),
}
LIMITS = (resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)
PTRACE_SEIZE, CLONE_NEWUSER = 0x4206, 0x10000000


@dataclass(frozen=True, slots=True)
class Target:
    """The things to harm: a folder with `secret`, `victim` and `doomed` in it, a process with an address in its
    memory, and TCP and Unix servers that listen."""

    folder: str
    pid: int
    address: int
    port: int
    abstract: str

    @property
    def place(self) -> Path:
        return Path(self.folder)


def call(name: str, *arguments: object) -> int:
    """A system call by its number; raises OSError."""
    number = NUMBERS[name][os.uname().machine == "aarch64"]
    # Whole registers: of a shorter number the upper half on the stack is whatever was there.
    whole = [ctypes.c_long(each) if isinstance(each, int) else each for each in (number, *arguments)]
    answer = int(ctypes.CDLL(None, use_errno=True).syscall(*whole))
    if answer < 0:
        raise OSError(ctypes.get_errno(), name)
    return answer


def prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def connect_abstract(target: Target) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{target.abstract}")


def datagram(target: Target) -> None:
    """A question to a name server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"name?", ("127.0.0.1", 53))


def fork(target: Target) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def write_here(target: Target) -> None:
    here = Path(f"attempt-{os.getpid()}")
    here.touch()
    here.unlink()


def append(target: Target) -> None:
    with (target.place / "victim").open("ab") as file:
        file.write(b"more")


def write_much(target: Target) -> None:
    file = target.place / f"much-{os.getpid()}"
    with file.open("wb") as opened:
        opened.truncate(100 << 20)
    file.unlink()


def read_environment(target: Target) -> None:
    assert Path(f"/proc/{target.pid}/environ").read_bytes()


def read_memory_directly(target: Target) -> None:
    loot = ctypes.create_string_buffer(8)
    ours, theirs = (ctypes.c_size_t * 2)(ctypes.addressof(loot), 8), (ctypes.c_size_t * 2)(target.address, 8)
    call("process_vm_readv", target.pid, ours, 1, theirs, 1, 0)


def open_many(target: Target) -> None:
    """As many as a worker may have by default."""
    opened = [os.dup(2) for _ in range(1000)]
    for each in opened:
        os.close(each)


def aim_signals(target: Target) -> None:
    """Signals of a descriptor sent to a process."""
    reading, _ = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETOWN, target.pid)


ATTEMPTS: dict[str, Callable[[Target], object]] = {
    "connect": lambda target: socket.create_connection(("127.0.0.1", target.port), timeout=5).close(),
    "connect abstract": connect_abstract,
    "datagram": datagram,
    "listen": lambda target: socket.create_server(("127.0.0.1", 0)).close(),
    "execute": lambda target: subprocess.run(["/bin/true"], check=True),
    # Success is the end of the process with 0.
    "replace itself": lambda target: os.execv("/bin/true", ["true"]),
    "fork": fork,
    "start thread": lambda target: threading.Thread(target=int).start(),
    "write new": lambda target: (target.place / f"new-{os.getpid()}").write_bytes(b"loot"),
    "write here": write_here,
    "append": append,
    "write much": write_much,
    "unlink": lambda target: (target.place / "doomed").unlink(),
    "rename": lambda target: (target.place / "victim").rename(target.place / "victim"),
    "change mode": lambda target: (target.place / "victim").chmod(0o666),
    "make folder": lambda target: (target.place / f"folder-{os.getpid()}").mkdir(),
    "read secret": lambda target: (target.place / "secret").read_bytes(),
    "read users": lambda target: Path("/etc/passwd").read_bytes(),
    "list folder": lambda target: os.listdir(target.place),
    "read environment": read_environment,
    "read memory": lambda target: open(f"/proc/{target.pid}/mem", "rb").close(),
    "read memory directly": read_memory_directly,
    "trace": lambda target: call("ptrace", PTRACE_SEIZE, target.pid, None, None),
    "send signal": lambda target: os.kill(target.pid, signal.SIGCONT),
    "send signal to parent": lambda target: os.kill(os.getppid(), 0),
    "send signal to group": lambda target: os.kill(0, signal.SIGCONT),
    "limit others": lambda target: resource.prlimit(target.pid, resource.RLIMIT_CORE, (0, 0)),
    # To raise one again outside takes a privilege that a container's root may lack.
    "change limit": lambda target: resource.setrlimit(resource.RLIMIT_MSGQUEUE, (5, 5)),
    "open many": open_many,
    "show memory again": lambda target: prctl(4, 1),  # PR_SET_DUMPABLE
    "outlive parent": lambda target: prctl(1, 0),  # PR_SET_PDEATHSIG
    "aim signals": aim_signals,
    "new user namespace": lambda target: call("unshare", CLONE_NEWUSER),
    "join a namespace": lambda target: call("setns", os.open("/proc/self/ns/uts", os.O_RDONLY), 0),
    "keyrings": lambda target: call("keyctl", 0, -3, 1),
    "bpf": lambda target: call("bpf", 0, (ctypes.c_uint32 * 32)(2, 4, 4, 1), 128),
    "userfaultfd": lambda target: call("userfaultfd", 1),
    "io_uring": lambda target: call("io_uring_setup", 1, (ctypes.c_uint8 * 120)()),
    "process handle": lambda target: call("pidfd_open", target.pid, 0),
    "file of another process": lambda target: call("pidfd_getfd", call("pidfd_open", target.pid, 0), 1, 0),
    "file in memory": lambda target: call("memfd_create", b"loot", 0),
    "shared memory": lambda target: call("shmget", 0, 4096, 0o1600),
}


def outcome_of(name: str, target: Target) -> str:
    """`done`, or the error that an attempt was refused with."""
    try:
        ATTEMPTS[name](target)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except Exception as error:  # Python's own words for some refusals
        return str(error)
    return "done"


class Descriptors:
    """Analyser that tells what its open files are, by kind."""

    def analyse(self, image: memoryview, *, measured: bool = False, rest: object = None) -> Analysis:
        names = (f"/proc/self/fd/{number}" for number in range(100))
        links = [os.readlink(name) for name in names if os.path.islink(name)]
        return Analysis(message=" ".join(sorted(link.partition(":[")[0].partition(" ")[0] for link in links)))


class Rights:
    """Analyser that tells its limits and capabilities."""

    def analyse(self, image: memoryview, *, measured: bool = False, rest: object = None) -> Analysis:
        limits = [resource.getrlimit(which) for which in LIMITS]
        lines = Path("/proc/self/status").read_text().splitlines()
        sets = [int(line.split()[1], 16) for line in lines if line.startswith(("CapInh", "CapPrm", "CapEff"))]
        return Analysis(message=f"{limits} {sets}")


class Taken:
    """Analyser that makes the attempt which a picture names."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def analyse(self, image: memoryview, *, measured: bool = False, rest: object = None) -> Analysis:
        return Analysis(message=outcome_of(bytes(image).decode(), self._target))


def behind(layer: str) -> None:
    """Put on one layer alone."""
    acts: dict[str, Callable[[], object]] = {
        "landlock": lambda: allow_reading_only(code_folders()),
        "seccomp": lambda: install(os.getpid()),
        "capabilities": layers._no_capabilities,
        "limits": layers.limit_files,
        "processes": lambda: layers._limit(resource.RLIMIT_NPROC, 0),
        "nobody": lambda: os.setuid(65534),
    }
    layers._prctl(layers._PR_SET_NO_NEW_PRIVS, 1)
    acts[layer]()


def in_process_of_its_own(name: str, target: Target, wanted: list[str]) -> str:
    """Outcome of an attempt in a child, so that no attempt spoils the next."""
    Path(target.folder, "doomed").touch()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for layer in wanted:
                behind(layer)
            os.write(writing, outcome_of(name, target).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said or "done"  # nothing left to say it: replaced itself


def main() -> None:
    target, wanted = Target(**json.loads(sys.argv[1])), sys.argv[2:]
    print(json.dumps({name: in_process_of_its_own(name, target, wanted) for name in ATTEMPTS}))


if __name__ == "__main__":
    main()
