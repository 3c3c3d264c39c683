"""Health and metrics of one worker over HTTP: `/live`, `/ready`, `/metrics`.

Live: the process makes progress or knows the dependency it waits for. Ready: live, with partitions, waiting for none,
and with nothing to be mended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from config.groups.services import HttpSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthState:
    """Health of a worker. `missing_topics`: topics that the worker reads and that have no partition. `troubles`: what
    else must be mended, in words. `stuck_s`: for how long there has been work, nothing was finished, and no dependency
    was to blame."""

    assigned: int
    missing_topics: tuple[str, ...] = ()
    waiting_for: tuple[str, ...]
    troubles: tuple[str, ...] = ()
    in_flight: int
    lag: int
    stuck_s: float
    stall_timeout_s: float

    @property
    def stalled(self) -> bool:
        return self.stuck_s > self.stall_timeout_s

    @property
    def ready(self) -> bool:
        in_want_of = (*self.missing_topics, *self.waiting_for, *self.troubles)
        return self.assigned > 0 and not in_want_of and not self.stalled


class HealthServer:
    """Server of the health pages; asks for the state at each request. Off when the port is 0."""

    def __init__(self, settings: HttpSettings, state: Callable[[], HealthState]) -> None:
        self._settings = settings
        self._state = state
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        if not self._settings.port:
            return
        app = web.Application()
        app.router.add_get("/live", self._live)
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._settings.host, self._settings.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _live(self, _request: web.Request) -> web.Response:
        state = self._state()
        return _answer(state, ok=not state.stalled)

    async def _ready(self, _request: web.Request) -> web.Response:
        state = self._state()
        return _answer(state, ok=state.ready)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _answer(state: HealthState, *, ok: bool) -> web.Response:
    body = orjson.dumps({"ok": ok, **asdict(state)})
    return web.Response(body=body, status=200 if ok else 503, content_type="application/json")
