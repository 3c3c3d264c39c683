"""Maker of slots, and of the fork server whenever there is none."""

from __future__ import annotations

import asyncio

from detectors.pool.blocks import ImageBlock
from detectors.pool.launcher import Launcher
from detectors.pool.outcomes import SlotStartError
from detectors.pool.plan import SlotPlan
from detectors.pool.slot import Slot

#: Pauses before another try when a slot that once started does not start again; then the pool gives up.
RESPAWN_PAUSES_S = (0.1, 0.5, 2.0)


class SlotMaker:
    """Source of ready slots for one pool."""

    def __init__(self, plan: SlotPlan) -> None:
        self._plan = plan
        self._launching = asyncio.Lock()
        self._launcher: Launcher | None = None

    async def make(self, block: ImageBlock) -> Slot:
        """A slot whose analyser is built, reading from `block`; raises SlotStartError."""
        async with self._launching:
            launcher = await self._living_launcher()
        return await Slot.open(launcher, block, self._plan.settings.start_timeout_s)

    async def make_persistently(self, block: ImageBlock) -> Slot:
        """Like `make`, with a few more tries: to replace a slot that did start before."""
        for pause in RESPAWN_PAUSES_S:
            try:
                return await self.make(block)
            except SlotStartError:
                await asyncio.sleep(pause)
        return await self.make(block)

    async def close(self) -> None:
        """End the fork server and every slot made. Nothing may be made meanwhile or afterwards."""
        launcher, self._launcher = self._launcher, None
        if launcher is not None:
            await launcher.close()

    async def _living_launcher(self) -> Launcher:
        if self._launcher is None or not self._launcher.alive:
            await self.close()
            launcher = Launcher(self._plan)
            await launcher.start()
            self._launcher = launcher
        return self._launcher
