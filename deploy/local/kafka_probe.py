"""Ask a broker whether it serves clients, without any Kafka client library.

One Metadata request (key 3, version 2) of the Kafka protocol guide. An open port isn't enough: it opens
while the broker still starts. A broker that isn't yet admitted by its controller is missing from the
answer's list.
"""

from __future__ import annotations

import socket
import ssl
import struct
from contextlib import ExitStack

METADATA_KEY = 3
METADATA_VERSION = 2  # the first that tells the cluster id, and old enough not to be "flexible"
CORRELATION = 20250
LARGEST_ANSWER = 1024 * 1024


def cluster_with_brokers(
    host: str, port: int, timeout: float = 2.0, context: ssl.SSLContext | None = None
) -> str | None:
    """The cluster id when the broker answers and lists itself by this port; None in every other case."""
    try:
        with ExitStack() as exits:
            connection = exits.enter_context(socket.create_connection((host, port), timeout=timeout))
            if context is not None:
                connection = exits.enter_context(context.wrap_socket(connection, server_hostname=host))
            connection.sendall(metadata_request())
            (size,) = struct.unpack(">i", _read_exactly(connection, 4))
            if not 0 < size <= LARGEST_ANSWER:
                return None
            cluster, ports = parse_metadata(_read_exactly(connection, size))
    except (OSError, EOFError, struct.error, UnicodeDecodeError):
        return None
    return cluster if port in ports else None


def metadata_request() -> bytes:
    """A request for the brokers and no topics (an empty list; null would mean all of them)."""
    client = b"liveness-services"
    header = struct.pack(">hhih", METADATA_KEY, METADATA_VERSION, CORRELATION, len(client)) + client
    body = header + struct.pack(">i", 0)
    return struct.pack(">i", len(body)) + body


def parse_metadata(answer: bytes) -> tuple[str | None, set[int]]:
    """Cluster id and the ports of the listed brokers; (None, empty) for an answer to another request."""
    correlation, count = struct.unpack_from(">ii", answer, 0)
    if correlation != CORRELATION:
        return None, set()
    offset, ports = 8, set()
    for _ in range(count):
        offset += 4  # node id
        _, offset = _read_string(answer, offset)  # host
        ports.add(int(struct.unpack_from(">i", answer, offset)[0]))
        _, offset = _read_string(answer, offset + 4)  # rack
    cluster, _ = _read_string(answer, offset)
    return cluster, ports


def _read_string(answer: bytes, offset: int) -> tuple[str | None, int]:
    """A string with a 16-bit length, -1 for null, and the offset after it."""
    (length,) = struct.unpack_from(">h", answer, offset)
    start = offset + 2
    if length < 0:
        return None, start
    return answer[start : start + length].decode("utf-8"), start + length


def _read_exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        part = connection.recv(count - len(received))
        if not part:
            raise EOFError("the broker closed the connection")
        received += part
    return received
