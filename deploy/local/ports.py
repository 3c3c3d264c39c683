"""Loopback ports for services that are killed and started again on the same address."""

from __future__ import annotations

import errno
import random
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
LOWEST_PORT = 20000
"""Above the ports that well-known services use."""

_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def is_free(port: int) -> bool:
    """True when a server could listen here now.

    SO_REUSEADDR as the servers set it: connections of a server that has just ended don't count as taken.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def parse_port_range(text: str) -> tuple[int, int]:
    """The kernel's range for outgoing connections, "32768\\t60999"."""
    low, high = text.split()
    return int(low), int(high)


def choose_ports(count: int) -> list[int]:
    """Free ports, all different, below the range that outgoing connections use.

    Inside that range a client that keeps trying to reach a killed broker can be given the broker's own port
    as its source port, connect to itself, and so keep the broker from ever listening again.
    """
    try:
        first_outgoing, _ = parse_port_range(_RANGE_FILE.read_text())
    except (OSError, ValueError):
        first_outgoing = 32768
    chosen: list[int] = []
    if first_outgoing - LOWEST_PORT >= 1000:
        for port in random.sample(range(LOWEST_PORT, first_outgoing), k=1000):
            if len(chosen) == count:
                break
            if is_free(port):
                chosen.append(port)
    return chosen if len(chosen) == count else _ports_from_kernel(count)


def _ports_from_kernel(count: int) -> list[int]:
    """Fallback for an unusual port range; all sockets stay open until the last is bound: none comes twice."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for item in sockets:
            item.bind((LOOPBACK, 0))
        return [int(item.getsockname()[1]) for item in sockets]
    finally:
        for item in sockets:
            item.close()
