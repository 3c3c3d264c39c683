"""The image's seccomp profile on a real worker: pictures are decided, calls that an intruder needs are refused."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import confined
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.pictures import distinct_submissions
from tests.e2e.test_path import all_decisions

CONFINED = ("tests.e2e.confined",)
#: Each with arguments that do nothing where the call is allowed.
REFUSED = [
    *(
        "unshare",
        "setns",
        "mount",
        "umount2",
        "pivot_root",
        "chroot",
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
    ),
    *("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "keyctl", "add_key", "init_module", "kexec_load"),
    *("open_by_handle_at", "name_to_handle_at", "clone3", "personality", "mknodat", "setuid", "capset", "swapon"),
]
ASK = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
for number in map(int, sys.argv[1:]):
    print(ctypes.get_errno() if libc.syscall(number, -1, -1, -1, -1, -1, -1) == -1 else 0)
"""
FAMILY = "import socket, sys; socket.socket(int(sys.argv[1]), socket.SOCK_RAW)"


@pytest.mark.embedded
@pytest.mark.slow
async def test_worker_decides_under_the_profile(install: MakeInstallation) -> None:
    """From the start to a stop in good order, slots and all connections included."""
    installation = await install()
    worker = await installation.workers.start(CONFINED, "-m", "stream.cli", "worker").ready()
    assert filtered(worker.pid)
    await installation.publish(distinct_submissions(4))
    decisions = await all_decisions(installation, 4)
    assert [b'"status":"success"' in (decision.value or b"") for decision in decisions] == [True] * 4
    worker.terminate()
    assert await worker.ended() == 0


def filtered(pid: int) -> bool:
    return "Seccomp:\t2\n" in Path(f"/proc/{pid}/status").read_text()


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)


def test_refused_calls() -> None:
    """Calls that an intruder needs do not exist under the profile; without it the same question finds most of them."""
    numbers = [str(number) for number in map(confined.number, REFUSED) if number >= 0]
    assert len(numbers) > 20
    answers = run("-m", *CONFINED, "-c", ASK, *numbers).stdout.split()
    assert answers == [str(errno.ENOSYS)] * len(numbers)
    free = run("-c", ASK, *numbers).stdout.split()
    assert free.count(str(errno.ENOSYS)) < len(numbers) / 2


@pytest.mark.parametrize("family", [17, 38, 40], ids=["packet", "alg", "vsock"])
def test_refused_sockets(family: int) -> None:
    assert "Function not implemented" in run("-m", *CONFINED, "-c", FAMILY, str(family)).stderr
