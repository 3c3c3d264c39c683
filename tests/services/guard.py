"""A test that declared no services must reach none: not by the environment, not by a socket.

Servers that the test's own process bound stay allowed, and embedded stores, whose addresses nobody else knows.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from stream.embedded.store import FOLDER_PREFIX

_connect, _connect_ex, _bind = socket.socket.connect, socket.socket.connect_ex, socket.socket.bind
_INTERNET = (socket.AF_INET, socket.AF_INET6)


class Unreachable(AssertionError):
    """A test without a marker tried to reach a service."""


class SocketGuard:
    """Patches `socket.socket` while `on`. One at a time."""

    def __init__(self) -> None:
        self._own_ports: set[int] = set()
        self._own_paths: set[str] = set()
        self._installed = False

    def on(self) -> None:
        if self._installed:
            return
        guard = self

        def connect(self: socket.socket, address: Any) -> None:
            guard.check(self, address)
            _connect(self, address)

        def connect_ex(self: socket.socket, address: Any) -> int:
            guard.check(self, address)
            return _connect_ex(self, address)

        def bind(self: socket.socket, address: Any) -> None:
            _bind(self, address)
            if self.family in _INTERNET and self.type & socket.SOCK_STREAM:
                guard._own_ports.add(self.getsockname()[1])
            elif self.family == socket.AF_UNIX:
                guard._own_paths.add(os.fsdecode(address))

        socket.socket.connect = connect  # type: ignore[method-assign,assignment]
        socket.socket.connect_ex = connect_ex  # type: ignore[method-assign,assignment]
        socket.socket.bind = bind  # type: ignore[method-assign,assignment]
        self._installed = True

    def off(self) -> None:
        if self._installed:
            socket.socket.connect = _connect  # type: ignore[method-assign]
            socket.socket.connect_ex = _connect_ex  # type: ignore[method-assign]
            socket.socket.bind = _bind  # type: ignore[method-assign]
            self._installed = False
            self._own_ports.clear()
            self._own_paths.clear()

    def check(self, made: socket.socket, address: Any) -> None:
        """Raises Unreachable for an address that is neither this process' own nor an embedded store's."""
        if not made.type & socket.SOCK_STREAM:
            return
        if made.family == socket.AF_UNIX:
            named = os.fsdecode(address)
            reachable = named in self._own_paths or _of_an_embedded_store(named)
        elif made.family in _INTERNET:
            named = f"{address[0]}:{address[1]}"
            reachable = address[1] in self._own_ports
        else:
            return
        if not reachable:
            raise Unreachable(
                f"an unmarked test may not connect to {named}; mark it `real`, `embedded` or `local_services`"
            )


def _of_an_embedded_store(path: str) -> bool:
    return Path(path).resolve().parent.name.startswith(FOLDER_PREFIX)
