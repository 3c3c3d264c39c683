"""Output of native libraries, which write to stderr behind Python's back: kept off a person's screen, or read."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

#: What a pipe holds on Linux.
_MOST_BYTES = 65_536

Result = TypeVar("Result")


@contextmanager
def native_stderr_silenced() -> Iterator[None]:
    """Point file descriptor 2 at nothing for a while; not for use beside other threads that log."""
    sys.stderr.flush()
    with _native_stderr_into(os.open(os.devnull, os.O_WRONLY)):
        yield


def with_native_stderr(call: Callable[[], Result]) -> tuple[Result, str]:
    """Result of `call`, and what native code wrote to file descriptor 2 meanwhile, at most a pipe's content.

    Called for each decode, in a process with one thread that matters. Never blocks: what the pipe doesn't hold is lost.
    Raises what `call` raises.
    """
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    try:
        with _native_stderr_into(writing):
            result = call()
        return result, _read_all(reading)
    finally:
        os.close(reading)


@contextmanager
def _native_stderr_into(writing: int) -> Iterator[None]:
    """Point file descriptor 2 at another for a while, which is closed then."""
    kept = os.dup(2)
    try:
        os.dup2(writing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(writing)


def _read_all(reading: int) -> str:
    try:
        return os.read(reading, _MOST_BYTES).decode("latin-1")
    except BlockingIOError:
        return ""
