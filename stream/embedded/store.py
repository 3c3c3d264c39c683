"""The embedded store: fakeredis speaking Redis' protocol on a loopback port, in a thread of this process."""

from __future__ import annotations

import threading

from fakeredis import TcpFakeServer

LIMITS = "in memory, nothing survives the process"


class _Server(TcpFakeServer):
    """With room for as many connections at once as a worker opens; five is what the library waits for."""

    request_queue_size = 128


class EmbeddedStore:
    """A started server on a free loopback port."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), server_type="redis")
        self._server.daemon_threads = True
        self.url = f"redis://127.0.0.1:{self._server.server_address[1]}/0"
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},  # how long a close may take
            name="embedded-store",
            daemon=True,
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
