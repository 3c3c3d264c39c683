"""Files that other programs replace during a read: mounted ConfigMaps, downloads, a copy half done."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


class FileRefused(Exception):
    """The file can't be used; the message says why, without any text of the file."""


class StillChanging(Exception):
    """The file changed during the read: look again later."""


@dataclass(frozen=True, slots=True)
class Version:
    """The identity of a file's state, known without a read. A swapped symlink changes the inode."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Version:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    @property
    def modified_ms(self) -> int:
        return self.modified_ns // 1_000_000


def version_of(path: Path) -> Version:
    """The version now at `path`, symlinks followed. Raises OSError."""
    return Version.of(os.stat(path))


def read_version(path: Path, *, max_bytes: int) -> tuple[Version, bytes]:
    """A version and its whole content. Blocks. Raises FileRefused, StillChanging or OSError.

    A symlink swapped meanwhile does no harm: the opened file is read to its end under the old version, so that the next
    look finds the new one.
    """
    # Without O_NONBLOCK, opening a named pipe would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise FileRefused("not a regular file")
        if before.st_size > max_bytes:
            raise FileRefused(f"larger than {max_bytes} bytes")
        content = file.read(max_bytes + 1)
        after = os.fstat(descriptor)
    if Version.of(before) != Version.of(after) or len(content) != after.st_size:
        raise StillChanging
    return Version.of(after), content


class WatchedFile:
    """A file that is read again whenever it has changed; looked at by one at a time."""

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self.path, self._max_bytes = path, max_bytes
        self._seen: Version | None = None

    def news(self) -> bytes | None:
        """The content, if it is another than at the last look; None while it changes. Blocks. Raises FileRefused, or
        OSError, after which the same file is news when it comes back."""
        try:
            if version_of(self.path) == self._seen:
                return None
            self._seen, content = read_version(self.path, max_bytes=self._max_bytes)
        except StillChanging:
            return None
        except OSError:
            self._seen = None
            raise
        return content


async def keep_current(
    refresh: Callable[[], object], every_s: float, then: Callable[[], object] = lambda: None
) -> None:
    """A background task: `refresh` called again and again, each time in a thread, and `then` after it, until cancelled.
    `refresh` raises nothing for a broken file or folder, so an exception is a bug."""
    while True:
        await asyncio.sleep(every_s)
        await asyncio.to_thread(refresh)
        then()


def reason(error: OSError | FileRefused) -> str:
    """The system's message, without the path, or what the file was refused for."""
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
