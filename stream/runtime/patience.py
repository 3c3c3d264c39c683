"""Waiting for a dependency that is away: the slow-down signal, and the loop that honours it.

While a dependency is away nothing is acknowledged and nothing is decided; the worker says what it waits
for, at once and then now and again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple

import structlog

from config.errors import Unavailable
from stream.runtime import metrics

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")
log = structlog.get_logger()

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
SAY_EVERY_S = 10.0


class DependencyTimeout(Exception):
    """Error of a dependency that stayed away longer than allowed: the process must exit without acknowledging."""


class RetryPolicy:
    """Retry policy of one worker; knows what is being waited for, so that health, metrics and logs agree."""

    def __init__(self) -> None:
        self._waiting: dict[str, int] = {}
        self._last_said: dict[str, float] = {}

    @property
    def waiting_for(self) -> tuple[str, ...]:
        return tuple(sorted(self._waiting))

    async def until_available(
        self, call: Callable[[*Arguments], Awaitable[T]], *arguments: *Arguments, at_most_s: float | None = None
    ) -> T:
        """Answer of the first call that doesn't raise Unavailable; other exceptions pass through.

        Called by stages, publisher and checks, several at once. `call` is repeated with its `arguments` and must bear
        repetition. Raises DependencyTimeout after `at_most_s` (never, if None).
        """
        loop = asyncio.get_running_loop()
        started, pause = loop.time(), FIRST_PAUSE_S
        try:
            return await call(*arguments)
        except Unavailable as error:
            dependency, fault = error.dependency, error.fault
        self._begin(dependency, fault)
        answered = False
        try:
            while True:
                waited = loop.time() - started
                if at_most_s is not None and waited >= at_most_s:
                    raise DependencyTimeout(f"{dependency} did not answer for {waited:.0f} s ({fault})")
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret
                pause = min(pause * 2, LONGEST_PAUSE_S)
                try:
                    answer = await call(*arguments)
                except Unavailable as error:
                    fault = error.fault
                    self._say(dependency, fault, loop.time())
                else:
                    answered = True
                    return answer
        finally:
            self._end(dependency, answered)

    def _begin(self, dependency: str, fault: str) -> None:
        self._waiting[dependency] = self._waiting.get(dependency, 0) + 1
        metrics.WAITING.labels(dependency=dependency).set(1)
        self._say(dependency, fault, asyncio.get_running_loop().time())

    def _say(self, dependency: str, fault: str, now: float) -> None:
        if now - self._last_said.get(dependency, -SAY_EVERY_S) >= SAY_EVERY_S:
            self._last_said[dependency] = now
            log.warning("waiting", dependency=dependency, fault=fault, tasks=self._waiting[dependency])

    def _end(self, dependency: str, answered: bool) -> None:
        self._waiting[dependency] -= 1
        if not self._waiting[dependency]:
            del self._waiting[dependency]
            self._last_said.pop(dependency, None)
            metrics.WAITING.labels(dependency=dependency).set(0)
            if answered:  # and not given up or cancelled
                log.info("no_longer_waiting", dependency=dependency)
