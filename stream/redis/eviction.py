"""The watch for eviction: a Redis that drops keys when full undoes pauses and blocks, and forgets decisions.

A limit of memory with another `maxmemory-policy` than `noeviction` is refused at start-up, and watched for afterwards:
an operator may set either while workers run.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence

import structlog

from abuse.redis_port import Command
from config.errors import SettingsError, Unavailable
from config.groups.services import RedisSettings
from stream.redis.client import SingleServerClient, each_server
from stream.redis.node import Answer
from stream.runtime import metrics

log = structlog.get_logger()

LOOK_EVERY_S = 30.0
LIMIT, POLICY, KEEPS_ALL = "maxmemory", "maxmemory-policy", "noeviction"
MEND = f"set {POLICY} {KEEPS_ALL} on Redis; LIVENESS_REDIS__ALLOW_EVICTION=true accepts the loss"
#: The second is asked where the first is forbidden, as with many a provider.
QUESTIONS: Sequence[Command] = (("CONFIG", "GET", f"{LIMIT}*"), ("INFO", "memory"))
_POLICY_NAME = re.compile(r"[a-z-]{1,40}")


class EvictionWatch:
    """Watch over all servers of an installation. `troubles` is what the readiness page tells."""

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._evicting = ""
        self._unknown = False

    def troubles(self) -> tuple[str, ...]:
        """Faults that make a worker not ready: empty while nothing is dropped, or the settings accept it."""
        if not self._evicting or self._settings.allow_eviction:
            return ()
        return (f"redis: {POLICY} is {self._evicting}",)

    async def check(self) -> None:
        """Start-up check. May be repeated. Raises SettingsError for a Redis that drops keys, Unavailable."""
        await self.look()
        if self.troubles():
            raise SettingsError(f"redis: {POLICY} is {self._evicting}: a full Redis drops pauses and decisions; {MEND}")

    async def run(self) -> None:
        """Background task: look every `LOOK_EVERY_S`."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except Unavailable:
                continue  # the retry policy says that Redis is away

    async def look(self) -> None:
        """Ask every server, and say what changed. Raises Unavailable."""
        async with each_server(self._settings) as servers:
            found = [await _policy(server) for server in servers]
        unknown = None in found
        if unknown and not self._unknown:
            why = "Redis tells this user neither by CONFIG nor by INFO; see to it that nothing is dropped"
            log.warning("redis_eviction_unknown", why=why, mend=MEND)
        self._unknown = unknown
        self._note(next((policy for policy in found if policy), ""))

    def _note(self, evicting: str) -> None:
        metrics.REDIS_EVICTS.set(1 if evicting else 0)
        if evicting == self._evicting:
            return
        self._evicting = evicting
        if evicting:
            log.error("redis_evicts", policy=evicting, why="a full Redis drops pauses and decisions", mend=MEND)
        else:
            log.info("redis_evicts_no_more")


async def _policy(server: SingleServerClient) -> str | None:
    """Policy by which the server drops keys, "" for one that drops none, None for one that doesn't tell."""
    for question in QUESTIONS:
        (answer,) = await server.ask([question])
        told = _told(answer)
        if LIMIT in told and POLICY in told:
            evicts = told[LIMIT] != "0" and told[POLICY] != KEEPS_ALL
            return (_POLICY_NAME.fullmatch(told[POLICY]) or ["unknown"])[0] if evicts else ""
    return None


def _told(answer: Answer) -> Mapping[str, str]:
    """Settings by name, from either question's answer; empty for a refusal."""
    if isinstance(answer, list):
        texts = [each.decode(errors="replace") for each in answer if isinstance(each, bytes)]
        return dict(zip(texts[::2], texts[1::2], strict=False))
    if isinstance(answer, bytes):
        lines = (line.partition(":") for line in answer.decode(errors="replace").splitlines())
        return {name.replace("_", "-"): value.strip() for name, _, value in lines}
    return {}
