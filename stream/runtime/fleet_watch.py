"""The watch over the fleet: refuses a worker that would look past the others, says what living workers differ in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from abuse.store_time import StoreTime
from config.errors import SettingsError, Unavailable
from stream.runtime import metrics
from stream.runtime.fleet import LIFE_S, RENEW_EVERY_S, Aspect, Badge, RollCall, conflict, conflicts, differences
from stream.runtime.patience import RetryPolicy

log = structlog.get_logger()


class FleetWatch:
    """Watch of one worker over the badges of its consumer group. `renewed`: the badge with what has changed since."""

    def __init__(
        self,
        roll: RollCall,
        ours: Badge,
        time: StoreTime,
        patience: RetryPolicy,
        renewed: Callable[[Badge], Badge] = lambda badge: badge,
    ) -> None:
        self._renewed = renewed
        self._roll, self._ours, self._time, self._patience = roll, ours, time, patience
        self._said: Mapping[Aspect, str] = {}

    async def check(self) -> None:
        """Start-up check. May be repeated. Raises SettingsError beside a worker that began before and keeps other keys,
        Unavailable. The earlier of two stays, so that of two which start at once one is refused."""
        now_ms = await self._time.now_ms()
        self._ours = replace(self._ours, began_ms=self._ours.began_ms or now_ms)
        fleet = await self._roll.sign(self._ours)
        for other in fleet:
            if (other.began_ms, other.name) >= (self._ours.began_ms, self._ours.name):
                continue
            if words := conflict(self._ours, other, now_ms):
                await self.leave()
                raise SettingsError(
                    f"{words}; give all the same, or stop the others first (one that crashed is forgotten after "
                    f"{LIFE_S:.0f} s)"
                )
        self._note(fleet, now_ms)

    async def run(self) -> None:
        """Background task: renew the badge, and look at the others'."""
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            await self._patience.until_available(self.look)

    async def look(self) -> None:
        """Renew, and say what changed. Raises Unavailable."""
        self._ours = self._renewed(self._ours)
        self._note(await self._roll.sign(self._ours), await self._time.now_ms())

    async def leave(self) -> None:
        """Remove the badge; with the store away it ages out."""
        try:
            await self._roll.leave(self._ours.name)
        except Unavailable:
            log.info("badge_left", forgotten_after_s=LIFE_S)

    def _note(self, fleet: Sequence[Badge], now_ms: int) -> None:
        found, ours = differences(fleet), self._ours.told()
        for aspect in Aspect:
            theirs = [each.told().get(aspect) for each in fleet]
            others = sum(value not in (None, ours[aspect]) for value in theirs) if aspect in ours else 0
            metrics.FLEET_DIFFERS.labels(what=aspect.replace(" ", "_")).set(others)
        if found == self._said:
            return
        self._said = found
        if apart := conflicts(fleet, now_ms):
            log.error("fleet_apart", why=apart, mend="give all workers of the consumer group the same, and restart")
        elif found:
            log.warning("fleet_differs", **{aspect.replace(" ", "_"): words for aspect, words in found.items()})
        else:
            log.info("fleet_agrees", workers=len(fleet))
