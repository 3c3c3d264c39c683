"""Readable files and folders of a slot: the code that the worker runs, system libraries, and what those ask of their
machine."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

_SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",  # of Python's mimetypes, which takes a file that is there for one that may be read
    "/usr/share/zoneinfo",
    "/sys/devices/system/cpu",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/self",  # in a slot: its own
    "/dev/null",
    "/dev/urandom",
)


def code_folders() -> tuple[str, ...]:
    """Files and folders with the libraries of this process and the code it has imported, a folder only once.

    Of a folder like the present one, which may hold anything, only the packages are named that were imported from it.
    """
    libraries = {os.path.realpath(path) for path in (*_SYSTEM, *_installed()) if path != "/proc/self"}
    imported = {path for path in _imported() if not any(Path(path).is_relative_to(folder) for folder in libraries)}
    return ("/proc/self", *sorted(libraries | imported))


def _installed() -> Iterator[str]:
    """Folders of the interpreter's own and of installed libraries."""
    paths = sysconfig.get_paths()
    yield from (paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    yield os.path.join(sys.base_prefix, "lib")
    yield from site.getsitepackages()
    yield from (path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages"))
    yield from filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":"))


def _imported() -> Iterator[str]:
    """Places of the top-level packages and modules that this process has imported."""
    for name, module in list(sys.modules.items()):
        if "." not in name:
            places = [*getattr(module, "__path__", ()), getattr(module, "__file__", None)]
            yield from (os.path.realpath(place) for place in places if place and os.path.exists(place))
