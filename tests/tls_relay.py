"""A TLS relay: a server with TLS in front of one without, for programs that have none built in."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any


class TlsRelay:
    """Relays of a test; each passes bytes on to `host:port`, or to a Unix socket, as they are."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    async def to(self, place: tuple[str, int] | str, context: ssl.SSLContext) -> int:
        """Port of a new relay."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._tasks.add(asyncio.current_task())  # type: ignore[arg-type]
            if isinstance(place, str):
                behind, onward = await asyncio.open_unix_connection(place)
            else:
                behind, onward = await asyncio.open_connection(*place)
            with contextlib.suppress(OSError):
                await asyncio.gather(_pass(reader, onward), _pass(behind, writer))

        self._servers.append(await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))
        return int(self._servers[-1].sockets[0].getsockname()[1])

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
    finally:
        writer.close()
