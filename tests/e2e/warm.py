"""Processes of the product that begin with everything imported: forks of one that has imported it once.

A worker needs two seconds of processor time to import what it runs. Tests start hundreds, and few are about that.
A process is forked from a keeper of its own, which waits for its end and tells the code.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module

from tests.services.starters import REPOSITORY

#: Commands of the product, the scripted analyser, and what a worker otherwise imports while it starts.
IMPORTED = ("stream.cli", "tests.e2e.analysers")
_NUMBER = struct.Struct("=i")


class WarmProcess:
    """`python -m COMMAND...` with this environment and nothing else of it; output goes to open files."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], out: int, err: int) -> None:
        self._keeper, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(_forks(), [b"+"], [theirs.fileno(), out, err])
        request = json.dumps({"command": list(command), "environment": dict(environment)}).encode()
        self._keeper.sendall(_NUMBER.pack(len(request)) + request)
        self.pid = _number(self._keeper)
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit code, a signal's negative; None while the process runs."""
        self._keeper.setblocking(False)
        try:
            return self._ended()
        except BlockingIOError:
            return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.send_signal(signal.SIGKILL)
        self._keeper.setblocking(True)
        self._ended()

    def _ended(self) -> int:
        if self._code is None:
            self._code = _number(self._keeper)
        return self._code


@cache
def _forks() -> socket.socket:
    """The way to the process that forks. It ends with this one."""
    ours, theirs = socket.socketpair()
    with theirs:
        subprocess.Popen([sys.executable, "-m", __name__], cwd=REPOSITORY, stdin=theirs, stdout=subprocess.DEVNULL)
    return ours


def _number(connection: socket.socket) -> int:
    received = connection.recv(_NUMBER.size)
    assert len(received) == _NUMBER.size, "the process that forks has ended"
    return int(_NUMBER.unpack(received)[0])


def _serve() -> None:
    """Fork a keeper for each request, until nobody can ask any more. Returns in a process that shall run a command."""
    for name in IMPORTED:
        import_module(name)
    requests = socket.socket(fileno=os.dup(0))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for keepers
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, 1, 3)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            requests.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _keep(*descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)


def _keep(connection: int, out: int, err: int) -> None:
    """Returns in the process of the command; the keeper itself ends here, behind that process."""
    keeper = socket.socket(fileno=connection)
    request = json.loads(keeper.recv(_NUMBER.unpack(keeper.recv(_NUMBER.size))[0], socket.MSG_WAITALL))
    if pid := os.fork():
        for descriptor in (0, out, err):
            os.close(descriptor)
        keeper.sendall(_NUMBER.pack(pid))
        _, status = os.waitpid(pid, 0)
        try:
            keeper.sendall(_NUMBER.pack(os.waitstatus_to_exitcode(status)))
        finally:
            os._exit(0)
    keeper.close()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for standard, descriptor in enumerate((nothing, out, err)):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["command"]
    sys.orig_argv = [sys.executable, "-m", *sys.argv]  # the command line, which a worker starts trials with


if __name__ == "__main__":
    _serve()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
