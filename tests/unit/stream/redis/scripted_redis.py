"""A server that speaks Redis' protocol and answers by a script: for replies and faults no real one gives on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

#: A command in, the reply's bytes out: None never answers, HANG_UP closes the connection.
Script = Callable[[list[bytes]], bytes | None]
HANG_UP = b""
_GREETINGS = (b"CLIENT", b"AUTH", b"SELECT")


class ScriptedRedis:
    """`commands` are those received, without a connection's greeting; `opened` and `open` count connections."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.commands: list[list[bytes]] = []
        self.opened = self.open = 0
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self.open += 1
        self._writers.add(writer)
        try:
            while command := await read_command(reader):
                if command[0] in _GREETINGS:
                    writer.write(b"+OK\r\n")
                    continue
                self.commands.append(command)
                reply = self.script(command)
                if reply == HANG_UP:
                    break
                writer.write(reply or b"")
        finally:
            self.open -= 1
            self._writers.discard(writer)
            writer.close()

    async def hang_up(self) -> None:
        """Close every connection."""
        for writer in list(self._writers):
            writer.close()
            await writer.wait_closed()


@asynccontextmanager
async def scripted(*scripts: Script) -> AsyncIterator[list[ScriptedRedis]]:
    """Servers, one a script, on free loopback ports."""
    servers = [ScriptedRedis(script) for script in scripts]
    listening = [await asyncio.start_server(server.serve, "127.0.0.1", 0) for server in servers]
    for server, each in zip(servers, listening, strict=True):
        server.port = each.sockets[0].getsockname()[1]
    try:
        yield servers
    finally:
        for each in listening:
            each.close()


async def read_command(reader: asyncio.StreamReader) -> list[bytes]:
    """The words of the next command; none at the connection's end."""
    try:
        parts = int((await reader.readline())[1:])
        words = []
        for _ in range(parts):
            size = int((await reader.readline())[1:])
            words.append((await reader.readexactly(size + 2))[:-2])
        return words
    except (ValueError, asyncio.IncompleteReadError, ConnectionError):
        return []


def encoded(value: bytes | int | list | None) -> bytes:
    """A reply in version 2 of the protocol."""
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, bytes):
        return b"$%d\r\n%s\r\n" % (len(value), value)
    return b"*%d\r\n" % len(value) + b"".join(map(encoded, value))
