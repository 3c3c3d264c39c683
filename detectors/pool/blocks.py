"""Blocks: shared memory for the frames of a job. One anonymous block a slot, so that a block has at most one reader.

A block has no name (memfd), so no way of dying can leave anything in /dev/shm. A block is sealed: the slot
can neither write nor shorten its memory (a shortened block would kill the parent with SIGBUS).
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence

#: linux/fcntl.h (in Python's fcntl from 3.13 on): later mappings are read-only, the parent's stays writable.
F_SEAL_FUTURE_WRITE = 0x0010


class ImageBlock:
    """Block as the parent holds it. Write only while no slot reads: between jobs, or after the slot is known dead."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.fd = _anonymous_file(capacity)
        self._map = mmap.mmap(self.fd, capacity)
        _seal(self.fd)

    def write(self, images: Iterable[bytes | memoryview]) -> tuple[int, ...]:
        """Copy the images into the block, one behind the other from its front; returns their lengths in bytes."""
        lengths, end = [], 0
        for image in images:
            start, end = end, end + len(image)
            self._map[start:end] = image
            lengths.append(end - start)
        return tuple(lengths)

    def close(self) -> None:
        """Free the memory. May be repeated: a start that fails and a stop may both call."""
        if not self._map.closed:
            self._map.close()
            os.close(self.fd)


def map_read_only(fd: int, capacity: int) -> memoryview:
    """Block as the slot sees it: whole, read-only, without a copy. The mapping lives as long as the view."""
    return memoryview(mmap.mmap(fd, capacity, access=mmap.ACCESS_READ))


def cut_into(block: memoryview, lengths: Sequence[int]) -> Iterator[memoryview]:
    """The images in a block by their lengths, in the order written, without a copy."""
    start = 0
    for length in lengths:
        yield block[start : start + length]
        start += length


def _anonymous_file(capacity: int) -> int:
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("liveness-image", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:  # pragma: no cover  # not Linux: an unlinked file does the same without seals
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, capacity)
    return fd


def _seal(fd: int) -> None:
    if hasattr(fcntl, "F_ADD_SEALS"):
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
