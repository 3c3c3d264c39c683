"""The join's sweeper: a set whose parts never came is closed at its deadline, decided and published.

Sweeping is idempotent: if two workers sweep, or one dies half-way, consumers see the same decision again. A set that a
record closed is decided by that record; the sweep decides only what no decision is stored of, and publishes answers to
submissions whose parts were erased.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from stream.events.message.messages import AlreadyDecided, Detection, Output
from stream.kafka.agents.agents import ENDS_WORKER
from stream.kafka.agents.publishing import Publisher
from stream.maintenance.left_aside import LeftAside
from stream.pipeline.decision.decide_stage import DecideStage
from stream.pipeline.join.joined import Joining
from stream.pipeline.join.pending import TURN_MS
from stream.runtime import metrics

log = structlog.get_logger()

SWEEP_EVERY_S = 2.0
#: Sets looked at in one sweep; a full sweep is followed by another at once.
MOST_AT_ONCE = 100
#: Sets ended at the same time: where a detector group is away, every submission waits for the sweep.
AT_THE_SAME_TIME = 8
#: Workers that may begin to decide a set: those before may have been killed, or have ended on the set itself.
MOST_TRIES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinSweeper:
    """The sweep as a background task of the decide role, by the store's time."""

    stage: DecideStage
    publisher: Publisher
    every_s: float = SWEEP_EVERY_S
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    aside: LeftAside[str] = field(default_factory=LeftAside)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self.every_s)
            while await self.sweep():
                pass

    async def sweep(self) -> bool:
        """Sweep once if the turn is this worker's. Returns whether another sweep is to follow at once: sets were ended,
        and more may be due."""
        if not await self.stage.patience.until_available(self.stage.join.pending.take_turn, self.name, TURN_MS):
            return False
        names, ended = await self._overdue(), 0
        for start in range(0, len(names), AT_THE_SAME_TIME):
            ended += sum(await asyncio.gather(*map(self._ended, names[start : start + AT_THE_SAME_TIME])))
        return len(names) == MOST_AT_ONCE and ended > 0

    async def _overdue(self) -> list[str]:
        """Names of sets whose deadline has come, without those on which the sweep failed just now."""
        self.aside.passed()
        join, retry = self.stage.join, self.stage.patience.until_available
        due = await retry(join.pending.due, await retry(join.time.now_ms), MOST_AT_ONCE + len(self.aside))
        return self.aside.others(due, MOST_AT_ONCE)

    async def _ended(self, name: str) -> bool:
        """Whether the set was ended. One on which the sweep fails stays due; the others are ended."""
        try:
            await self._end(name)
        except ENDS_WORKER:
            raise
        except Exception as error:
            log.error("join_sweep_failed", error=type(error).__name__)
            self.aside.add(name)
            return False
        return True

    async def _end(self, name: str) -> None:
        join, stage, retry = self.stage.join, self.stage, self.stage.patience.until_available
        joining = await join.end(name)
        if joining is None:
            await retry(join.pending.drop, name)
            return
        finding = joining.detection.finding
        if isinstance(finding, AlreadyDecided):
            await self.publisher.publish(stage.outputs_of(joining.detection, finding.decision))
            metrics.JOINS.labels(outcome="erased").inc()
        elif joining.by_deadline or not await self._is_decided(joining):
            tries = await retry(join.pending.tried, name, self.name)
            await self.publisher.publish(await self._outputs(joining.detection, tries))
            log.info("join_ended", by_deadline=joining.by_deadline)
        await stage.join.settle(name, joining)

    async def _is_decided(self, joining: Joining) -> bool:
        ids = joining.detection.ids
        return await self.stage.patience.until_available(self.stage.store.find, ids) is not None

    async def _outputs(self, detection: Detection, tries: int) -> Sequence[Output]:
        """Outputs of a decision; an answer, where the stage fails on a submission or workers ended on it."""
        try:
            return await (self.stage.outputs_on if tries <= MOST_TRIES else self.stage.answer_for)(detection)
        except ENDS_WORKER:
            raise
        except Exception as error:
            log.error("join_failed", error=type(error).__name__)
            return await self.stage.answer_for(detection)
