"""An analyser that does what the picture says: `command argument\\n` and then any bytes."""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import os
import resource
import signal
import stat
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from detectors.contract import Analysis, Frame
from detectors.pool import SlotCrashed, SlotPool, SlotTimeout


def picture(command: str, argument: object = "", rest: bytes = b"") -> bytes:
    return f"{command} {argument}\n".encode() + rest


def say(word: str) -> None:
    """Make a word the name of this process: what a slot can show that can write no file."""
    ctypes.CDLL(None).prctl(15, word.encode(), 0, 0, 0)  # PR_SET_NAME


class Scripted:
    """Analyser of every slot in these tests. Unknown commands echo."""

    def analyse(self, image: memoryview, *, measured: bool = False, rest: object = None) -> Analysis:
        command, _, argument = bytes(image[:4096]).partition(b"\n")[0].decode(errors="replace").partition(" ")
        act: Callable[[memoryview, str], Analysis] = getattr(self, command, self.echo)
        analysis = act(image, argument)
        return replace(analysis, notes=("measured", *analysis.notes)) if measured else analysis

    def echo(self, image: memoryview, argument: str) -> Analysis:
        return Analysis(message=argument, notes=(hashlib.sha256(image).hexdigest(), str(len(image))))

    def pid(self, image: memoryview, argument: str) -> Analysis:
        return Analysis(notes=(str(os.getpid()), str(os.getppid())))

    def cpu(self, image: memoryview, argument: str) -> Analysis:
        while time.process_time() < float(argument):
            pass
        return Analysis()

    def gate(self, image: memoryview, path: str) -> Analysis:
        """A job that says when it begins, then waits until the gate is opened."""
        say("holding")
        while not os.path.exists(path):
            time.sleep(0.002)
        say("free")
        return Analysis(message="passed")

    def spin_python(self, image: memoryview, argument: str) -> Analysis:
        while True:
            pass

    def spin_c(self, image: memoryview, argument: str) -> Analysis:
        """Native code that never gives the interpreter back."""
        say("spinning")
        deque(itertools.count(), maxlen=0)
        raise AssertionError

    def segv(self, image: memoryview, argument: str) -> Analysis:
        ctypes.string_at(0)
        raise AssertionError

    def kill(self, image: memoryview, number: str) -> Analysis:
        os.kill(os.getpid(), int(number))
        raise AssertionError

    def exit(self, image: memoryview, code: str) -> Analysis:
        os._exit(int(code))

    def sys_exit(self, image: memoryview, code: str) -> Analysis:
        sys.exit(int(code))

    def flake(self, image: memoryview, pids: str) -> Analysis:
        """A crash in the processes named only."""
        if str(os.getpid()) in pids.split(","):
            ctypes.string_at(0)
        return Analysis(message="second time", notes=(str(os.getpid()),))

    def raises(self, image: memoryview, argument: str) -> Analysis:
        raise LookupError(f"words that quote the picture: {argument}")

    def no_analysis(self, image: memoryview, argument: str) -> Analysis:
        return None  # type: ignore[return-value]

    def not_finite(self, image: memoryview, argument: str) -> Analysis:
        return Analysis(elapsed_ms={"mesh": float("nan")})

    def hog(self, image: memoryview, mib: str) -> Analysis:
        return Analysis(message=str(len(bytearray(int(mib) << 20))))

    def hog_native(self, image: memoryview, mib: str) -> Analysis:
        """A library that ends the process when memory is refused, as C++ without a handler does."""
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        libc.malloc.argtypes = [ctypes.c_size_t]
        if libc.malloc(int(mib) << 20) is None:
            libc.abort()
        return Analysis(message="granted")

    def junk(self, image: memoryview, argument: str) -> Analysis:
        """Nonsense written to the parent, as a taken-over decoder might."""
        for fd in range(3, 256):
            try:
                if stat.S_ISSOCK(os.fstat(fd).st_mode):
                    os.write(fd, bytes.fromhex(argument))
            except OSError:
                pass
        signal.pause()
        raise AssertionError

    def write(self, image: memoryview, argument: str) -> Analysis:
        image[0] = 0
        raise AssertionError

    def environment(self, image: memoryview, argument: str) -> Analysis:
        return Analysis(notes=tuple(sorted(os.environ)))

    def limits(self, image: memoryview, argument: str) -> Analysis:
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
        return Analysis(
            elapsed_ms={
                "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
                "address_space": resource.getrlimit(resource.RLIMIT_AS)[0] % 86_400_000,
                "threads": len(os.listdir("/proc/self/task")),
            }
        )

    def loud(self, image: memoryview, argument: str) -> Analysis:
        os.write(1, b"native noise\n")
        os.write(2, b"native noise\n")
        return Analysis()

    def modules(self, image: memoryview, argument: str) -> Analysis:
        return Analysis(notes=tuple(name for name in argument.split(",") if name in sys.modules))


async def one(pool: SlotPool, image: bytes | memoryview) -> Analysis | SlotTimeout | SlotCrashed:
    outcome = await pool.analyse((Frame(image),))
    if not isinstance(outcome, tuple):
        return outcome
    (analysis,) = outcome
    return analysis


def failing_factory(error: Exception) -> Scripted:
    raise error


def crashing_factory() -> Scripted:
    os._exit(3)


def slow_factory() -> Scripted:
    time.sleep(600)
    raise AssertionError


def once_only_factory(path: str, times: int) -> Scripted:
    marks = Path(path)
    with marks.open("ab") as file:
        file.write(b"x")
    if marks.stat().st_size > times:
        raise FileNotFoundError("the model is gone")
    return Scripted()
