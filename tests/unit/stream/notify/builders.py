"""Records, a receiver on loopback and a clock for the tests of the notifier."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from stream.events.message.messages import Headers, Record
from stream.events.wire.cloud_events import EventType, binary_headers
from stream.notify.notice import Notice, notice_of
from stream.notify.targets import WebhookTarget
from stream.runtime.clock import Clock

KEY = bytes(range(32))
BODY = b'{"flag_id": "flag-1",\n "state":"raised"}'
PATH = "/hooks/do-not-log-me"


def flag_record(*, value: bytes | None = BODY, headers: Headers | None = None, event_id: str = "flag-1") -> Record:
    made = binary_headers(EventType.ABUSE_FLAG, event_id=event_id, source="liveness-stream", subject="a b")
    place = {"topic": "flags", "partition": 0, "offset": 0, "appended_at_ms": 1_700_000_000_000}
    return Record(**place, key=b"subject", value=value, headers=made if headers is None else headers)


def a_notice() -> Notice:
    return notice_of(flag_record())


class SteppingClock(Clock):
    """Time passes only by sleeping, so that minutes of retries take no time; `pauses` are the sleeps."""

    def __init__(self) -> None:
        self.at_s = 1_700_000_000.0
        self.pauses: list[float] = []

    def now_ms(self) -> int:
        return int(self.at_s * 1000)

    def monotonic(self) -> float:
        return self.at_s - 1_600_000_000

    async def sleep(self, pause_s: float) -> None:
        self.pauses.append(pause_s)
        self.at_s += pause_s


class Asked(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    peer: Any


@dataclass
class Receiver:
    """`answers` in turn, the last one for ever; a callable writes its own answer."""

    url: URL = field(default_factory=URL)
    answers: list[Any] = field(default_factory=lambda: [200])
    asked: list[Asked] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        peer = request.transport and request.transport.get_extra_info("peername")
        self.asked.append(Asked(request.method, request.path_qs, dict(request.headers), body, peer))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            return await answer(request)
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        return web.Response(status=status, headers=headers, text="thanks" if status != 204 else None)

    @property
    def target(self) -> WebhookTarget:
        return WebhookTarget(self.url, allow_private=True)


@asynccontextmanager
async def receiving(*answers: Any, ssl: Any = None) -> AsyncIterator[Receiver]:
    receiver = Receiver(answers=list(answers) or [200])
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl).start()
    port = runner.addresses[0][1]
    receiver.url = URL(f"{'https' if ssl else 'http'}://127.0.0.1:{port}{PATH}?token=s3cret")
    try:
        yield receiver
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_server(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[URL]:
    """Reads a request's first bytes and lets `answer` write anything at all."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(64 * 1024)
            await answer(writer)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{PATH}")
    finally:
        server.close()


class FakeLookup(AbstractResolver):
    """A name server: each look-up gets the next list of addresses, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not found:
            raise OSError("no such host")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=10 if ":" in address else 2, proto=0, flags=4)
            for address in found
        ]

    async def close(self) -> None:
        pass
