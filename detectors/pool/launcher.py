"""The fork server as the worker sees it: started, given orders for slots, asked about their ends."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from detectors.pool.confinement.layers import Confinement, hide_memory
from detectors.pool.fork_server import EXITED, FORK, FORKED, KILL, NOTICE, ORDER, READY
from detectors.pool.outcomes import SlotStartError
from detectors.pool.plan import SlotPlan
from detectors.pool.settings import DEBUG_VARIABLE, slot_environment

#: The worker's import path is handed over, so that the server finds the same modules in any embedding.
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from detectors.pool.fork_server import main; main(int(sys.argv[1]))"
)

_POLL_S = 0.005
_CLOSE_S = 2.0


@dataclass(slots=True, eq=False)
class SlotProcess:
    """Forked slot. `exited` resolves to the exit code (negative: the signal) once the process is reaped."""

    number: int
    exited: asyncio.Future[int]
    pid: int = 0


class Launcher:
    """Fork server process. After an unexpected end (`alive` is False) make a new one.

    All methods run on the event loop's thread and don't block it, apart from `start`'s process creation.
    """

    def __init__(self, plan: SlotPlan) -> None:
        self._plan = plan
        self._slots: dict[int, SlotProcess] = {}
        self._numbers = 0
        self._received = b""
        self._bereaved: list[int] = []

    async def start(self) -> None:
        """Wait until the libraries are imported; raises SlotStartError. This process' memory is hidden from now on."""
        self._loop = asyncio.get_running_loop()
        self._ready = self._loop.create_future()
        self._ended = asyncio.Event()
        self._control, theirs = socket.socketpair()
        self._control.setblocking(False)
        if self._plan.settings.confinement is not Confinement.OFF:
            hide_memory()
        with theirs:
            try:
                self._process = self._popen(theirs)
            except OSError as error:
                self._control.close()
                raise SlotStartError(f"the fork server could not be started: {error.strerror}") from None
        self._loop.add_reader(self._control, self._on_readable)
        try:
            await asyncio.wait_for(self._ready, self._plan.settings.start_timeout_s)
        except TimeoutError:
            await self.close()
            raise SlotStartError("the fork server was not ready in time") from None
        except BaseException:
            await self.close()
            raise

    @property
    def alive(self) -> bool:
        return not self._ended.is_set()

    @property
    def pid(self) -> int:
        return self._process.pid

    def fork(self, channel: socket.socket, block_fd: int) -> SlotProcess:
        """Slot ordered from the server; its pid follows later. A server that is gone gives a process that has ended."""
        self._numbers += 1
        process = SlotProcess(self._numbers, self._loop.create_future())
        self._slots[process.number] = process
        try:
            socket.send_fds(self._control, [ORDER.pack(FORK, process.number)], [channel.fileno(), block_fd])
        except OSError:
            self._end()
        return process

    def kill(self, process: SlotProcess) -> None:
        """SIGKILL a slot through the server, which knows whether the pid is still the slot's. May be repeated."""
        try:
            self._control.send(ORDER.pack(KILL, process.number))
        except OSError:
            self._end()

    async def close(self) -> None:
        """End the server and with it every slot; bounded, leaves no zombie."""
        self._end()
        if not await self._within(_CLOSE_S, lambda: self._process.poll() is not None):
            self._process.kill()
            await self._within(_CLOSE_S, lambda: self._process.poll() is not None)
        await self._within(_CLOSE_S, lambda: not any(map(_is_ours_and_alive, self._bereaved)))

    async def _within(self, seconds: float, condition: Callable[[], bool]) -> bool:
        """Poll, for want of an event: whether the condition came true in time."""
        deadline = self._loop.time() + seconds
        while not (met := condition()) and self._loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)
        return met

    def _popen(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        noise = None if os.environ.get(DEBUG_VARIABLE) == "1" else subprocess.DEVNULL
        process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, str(theirs.fileno()), json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=noise,
            stderr=noise,
            pass_fds=[theirs.fileno()],
            env=slot_environment(self._plan.settings, os.environ),
        )
        assert process.stdin is not None
        with process.stdin as stdin:
            pickle.dump(self._plan, stdin)
        return process

    def _on_readable(self) -> None:
        try:
            chunk = self._control.recv(NOTICE.size * 64)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._end()
            return
        self._received += chunk
        while len(self._received) >= NOTICE.size:
            notice, self._received = self._received[: NOTICE.size], self._received[NOTICE.size :]
            self._note(*NOTICE.unpack(notice))

    def _note(self, what: bytes, slot: int, number: int) -> None:
        if what == READY:
            if not self._ready.done():
                self._ready.set_result(None)
        elif what == FORKED and slot in self._slots:
            self._slots[slot].pid = number
        elif what == EXITED and slot in self._slots:
            _resolve(self._slots.pop(slot), number)

    def _end(self) -> None:
        """The server is gone or going: its slots die with it (parent-death signal)."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._loop.remove_reader(self._control)
        self._control.close()
        self._bereaved = [process.pid for process in self._slots.values() if process.pid]
        for process in self._slots.values():
            _resolve(process, -signal.SIGKILL)
        self._slots.clear()
        if not self._ready.done():
            self._ready.set_exception(
                SlotStartError(f"the fork server ended at once; {DEBUG_VARIABLE}=1 shows its errors")
            )
            self._ready.exception()  # retrieved: `close` may be the only one left to see it


def _resolve(process: SlotProcess, code: int) -> None:
    if not process.exited.done():
        process.exited.set_result(code)


def _is_ours_and_alive(pid: int) -> bool:
    """Reap a slot that outlived its server, if the slot was handed to this process (PID 1 of a container)."""
    try:
        reaped, _ = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return False
    return reaped == 0
