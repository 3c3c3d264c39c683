"""The fork server: a small process that forks slots. One thread, heavy libraries imported once, no picture touched.

`multiprocessing`'s fork server would not do: it imports the worker's main module into every child (for the console
script: Faust and all the rest), its children keep the server alive after the worker was killed, and its protocol is
pickle. Ours ends when its socket does and takes every slot along, also a slot that spins in native code: by SIGKILL,
and by the slots' parent-death signal should the server be killed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pickle
import selectors
import signal
import socket
import sys
import traceback
from struct import Struct

from detectors.pool.confinement.layers import Confinement, close_all_but, confine, hide_memory, keep_order
from detectors.pool.plan import SlotPlan
from detectors.pool.slot_process import serve

#: Parent to server: what, slot number. FORK carries two descriptors: the slot's channel and its block.
ORDER = Struct("<cQ")
FORK, KILL = b"F", b"K"

#: Server to parent: what, slot number, then the pid or the exit code (negative: the signal).
NOTICE = Struct("<cQq")
READY, FORKED, EXITED = b"R", b"F", b"X"


def main(control_fd: int) -> None:
    """Entry point of the server process; the plan comes through stdin."""
    for name in (signal.SIGINT, signal.SIGTERM):  # a signal to the group is the worker's to answer
        signal.signal(name, signal.SIG_IGN)
    plan: SlotPlan = pickle.load(sys.stdin.buffer)  # noqa: S301  # written by the parent process
    if plan.settings.confinement is not Confinement.OFF:
        hide_memory()
    for module in plan.settings.preload:
        with contextlib.suppress(ImportError):  # the analyser's factory will say it clearer
            importlib.import_module(module)
    gc.collect()
    gc.freeze()  # keeps the collector from copying shared pages in the children
    with socket.socket(fileno=control_fd) as control:
        ForkServer(control, plan).run()


class ForkServer:
    """Loop of the fork server over orders from the parent and ends of slots."""

    def __init__(self, control: socket.socket, plan: SlotPlan) -> None:
        self._control = control
        self._plan = plan
        self._pids: dict[int, int] = {}
        self._pid = os.getpid()

    def run(self) -> None:
        """Serve orders until the parent is gone, then leave no child behind."""
        wakeup, wakeup_in = os.pipe()
        for fd in (wakeup, wakeup_in):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wakeup_in, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # so that the wake-up pipe is written to
        selector = selectors.DefaultSelector()
        selector.register(wakeup, selectors.EVENT_READ)
        selector.register(self._control, selectors.EVENT_READ)
        try:
            self._notify(READY, 0, 0)
            while self._step({key.fd for key, _ in selector.select()}, wakeup):
                pass
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            self._end_slots()

    def _step(self, readable: set[int], wakeup: int) -> bool:
        if wakeup in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(wakeup, 4096)
            self._reap()
        if self._control.fileno() not in readable:
            return True
        order, fds, _, _ = socket.recv_fds(self._control, ORDER.size, 2)
        if len(order) < ORDER.size:
            return False
        what, slot = ORDER.unpack(order)
        self._obey(what, slot, fds)
        return True

    def _obey(self, what: bytes, slot: int, fds: list[int]) -> None:
        if what == FORK:
            self._fork(slot, *fds)
        elif what == KILL and slot in self._pids:  # not yet reaped, so the pid is still this slot's
            os.kill(self._pids[slot], signal.SIGKILL)

    def _fork(self, slot: int, channel_fd: int, block_fd: int) -> None:
        pid = os.fork()
        if pid == 0:
            self._become_slot(channel_fd, block_fd)
        os.close(channel_fd)
        os.close(block_fd)
        self._pids[slot] = pid
        self._notify(FORKED, slot, pid)

    def _become_slot(self, channel_fd: int, block_fd: int) -> None:
        """In the child: never returns, whatever happens."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            close_all_but((channel_fd, block_fd))
            keep_order(self._plan.settings.memory_mib, self._pid)
            missing = {} if self._plan.settings.confinement is Confinement.OFF else confine(self._plan.readable)
            # Left open to the very end: the parent kills what has hung up, and would hide the exit code.
            channel = socket.socket(fileno=channel_fd)
            serve(channel, block_fd, self._plan, missing)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:  # whatever it was, this child must end here and never return into the server's loop
            traceback.print_exc()
        finally:
            os._exit(code)

    def _reap(self) -> None:
        for slot, pid in list(self._pids.items()):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                del self._pids[slot]
                self._notify(EXITED, slot, os.waitstatus_to_exitcode(status))

    def _end_slots(self) -> None:
        for pid in self._pids.values():
            os.kill(pid, signal.SIGKILL)
        for pid in self._pids.values():
            os.waitpid(pid, 0)

    def _notify(self, what: bytes, slot: int, number: int) -> None:
        self._control.sendall(NOTICE.pack(what, slot, number))
