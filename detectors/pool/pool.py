"""`SlotPool`: a queue of jobs, one keeper task a slot, and a quarantine for second attempts."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from config.catalogues.error_codes import ErrorCode
from detectors.contract import MAX_FRAMES, Analysis, Frame
from detectors.pool.blocks import ImageBlock
from detectors.pool.confinement.layers import Missing
from detectors.pool.confinement.readable import code_folders
from detectors.pool.memory import resident_mib
from detectors.pool.outcomes import (
    PoolClosed,
    PoolOutcome,
    PoolStats,
    RestartReason,
    SlotCrashed,
    SlotStats,
    SlotTimeout,
)
from detectors.pool.plan import AnalyserFactory, SlotPlan, pack_factory
from detectors.pool.settings import PoolSettings
from detectors.pool.slot import Answered, Expired, Lost, Slot
from detectors.pool.slot_maker import SlotMaker


@dataclass(slots=True, eq=False)
class _Job:
    frames: Sequence[Frame]
    measured: bool
    outcome: asyncio.Future[PoolOutcome]
    queued_at: float
    queue_ms: float = field(default=0.0)


class SlotPool:
    """Pool of `settings.slots` slot processes, each with an analyser. Belongs to one event loop and its thread.

    The caller bounds how many `analyse` calls are open; jobs are taken in the order of the calls.
    """

    def __init__(
        self, factory: AnalyserFactory, args: tuple[Any, ...] = (), *, settings: PoolSettings | None = None
    ) -> None:
        """`factory(*args)` is called once in every slot process; both must be picklable and importable."""
        self._settings = settings or PoolSettings()
        readable = (*self._settings.readable, *code_folders())
        self._plan = SlotPlan(factory=pack_factory(factory, args), settings=self._settings, readable=readable)
        self._queue: asyncio.Queue[_Job] = asyncio.Queue()
        self._open_jobs: set[_Job] = set()
        self._slots: list[Slot | None] = [None] * self._settings.slots
        self._jobs_left = _staggered(self._settings.slots, self._settings.recycle_after)
        self._tasks: set[asyncio.Task[None]] = set()
        self._restarts: Counter[RestartReason] = Counter()
        self._quarantined = 0
        self._started = False
        self._closed: str | None = "the slot pool has not been started"

    async def start(self) -> None:
        """Build the analyser in every slot; raises SlotStartError, after which nothing is left running."""
        if self._started:
            raise RuntimeError("the slot pool is started already")
        self._drained = asyncio.Event()
        self._maker = SlotMaker(self._plan)
        self._alone = asyncio.Lock()
        self._blocks = [ImageBlock(self._settings.max_image_bytes) for _ in self._slots]
        self._quarantine_block = ImageBlock(self._settings.max_image_bytes)
        self._started = True
        opening = [asyncio.create_task(self._maker.make(block)) for block in self._blocks]
        try:
            self._slots[:] = await asyncio.gather(*opening)
        except BaseException:
            for task in opening:
                task.cancel()
            await asyncio.gather(*opening, return_exceptions=True)
            await self._release()
            raise
        self._closed = None
        for index in range(len(self._slots)):
            self._spawn_task(self._keep(index))

    async def stop(self, grace_s: float = 5.0) -> None:
        """Let open jobs end within the grace period, then kill. Jobs cut off raise PoolClosed. Idempotent."""
        if not self._started:
            return
        self._closed = self._closed or "the slot pool is stopped"
        if self._open_jobs and self._tasks:
            self._drained.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), grace_s)
        await self._release()

    async def analyse(self, frames: Sequence[Frame], /, *, measured: bool = False) -> PoolOutcome:
        """See `FramePool`; `elapsed_ms["slot_wait"]` of the first analysis is the wait for a slot, milliseconds.

        When cancelled, a job that waits is dropped and a job that runs is finished for nobody, so that no slot is
        killed for it.
        """
        if not 1 <= len(frames) <= MAX_FRAMES:
            raise ValueError(f"a submission has 1 to {MAX_FRAMES} frames, not {len(frames)}")
        if self._closed is not None:
            raise PoolClosed(self._closed)
        if sum(len(frame.image) for frame in frames) > self._settings.max_image_bytes:
            refusal = Analysis(error=ErrorCode.IMAGE_TOO_LARGE, message="the image is larger than a slot takes")
            return (refusal,) * len(frames)
        loop = asyncio.get_running_loop()
        job = _Job(frames, measured, loop.create_future(), loop.time())
        self._open_jobs.add(job)
        self._queue.put_nowait(job)
        try:
            return await job.outcome
        finally:
            self._open_jobs.discard(job)
            if not self._open_jobs:
                self._drained.set()

    @property
    def missing_layers(self) -> Missing:
        """Layers of confinement that slots lack, and why; of a pool that has started."""
        return next((slot.missing_layers for slot in self._slots if slot is not None), {})

    def stats(self) -> PoolStats:
        slots = tuple(_slot_stats(slot) for slot in self._slots if slot is not None and not slot.lost)
        return PoolStats(
            slots=slots,
            busy=sum(slot.busy for slot in slots),
            queued=self._queue.qsize(),
            quarantined=self._quarantined,
            restarts=dict(self._restarts),
        )

    async def _keep(self, index: int) -> None:
        """Feed one slot for ever, replacing its process when needed."""
        while True:
            job = await self._queue.get()
            if job.outcome.done():
                continue
            slot = self._slots[index]
            if slot is None or slot.lost:  # it died while idle: not this picture's doing
                slot = await self._replace(index, RestartReason.CRASH)
            job.queue_ms = (asyncio.get_running_loop().time() - job.queued_at) * 1000
            end = await slot.run(job.frames, self._settings.deadline_s, measured=job.measured)
            if isinstance(end, Lost):
                self._quarantined += 1
                self._spawn_task(self._quarantine(job))
            else:
                _settle(job, self._outcome(job, end))
            self._jobs_left[index] -= 1
            reason = self._reason_to_replace(index, end)
            if reason is not None:
                await self._replace(index, reason)

    async def _quarantine(self, job: _Job) -> None:
        """The second attempt: a process of its own, one at a time, so that no other picture can be hurt."""
        try:
            async with self._alone:
                if job.outcome.done():
                    return
                slot = await self._maker.make_persistently(self._quarantine_block)
                try:
                    end = await slot.run(job.frames, self._settings.deadline_s, measured=job.measured)
                finally:
                    await slot.close()
                _settle(job, self._outcome(job, end))
        finally:
            self._quarantined -= 1

    def _outcome(self, job: _Job, end: Answered | Expired | Lost) -> PoolOutcome:
        match end:
            case Answered(analyses):
                first, *others = analyses
                waited = {"slot_wait": job.queue_ms, **first.elapsed_ms}
                return (replace(first, elapsed_ms=waited), *others)
            case Expired():
                return SlotTimeout(deadline_s=self._settings.deadline_s, queue_ms=job.queue_ms)
            case Lost(cause, code):
                return SlotCrashed(cause=cause, code=code, queue_ms=job.queue_ms)

    def _reason_to_replace(self, index: int, end: Answered | Expired | Lost) -> RestartReason | None:
        match end:
            case Expired():
                return RestartReason.TIMEOUT
            case Lost():
                return RestartReason.CRASH
            case Answered(raised=True):
                return RestartReason.RAISED
        return RestartReason.RECYCLED if self._jobs_left[index] <= 0 else None

    async def _replace(self, index: int, reason: RestartReason) -> Slot:
        self._restarts[reason] += 1
        old = self._slots[index]
        if old is not None:
            await old.close()
        self._slots[index] = None
        slot = await self._maker.make_persistently(self._blocks[index])
        self._slots[index] = slot
        self._jobs_left[index] = self._settings.recycle_after
        return slot

    def _spawn_task(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        """A keeper or quarantine that raises is a bug or a machine that can't start slots: give up loudly."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._closed = f"the slot pool has failed: {error}"
            self._cut_off(error)

    def _cut_off(self, cause: BaseException | None = None) -> None:
        for job in self._open_jobs:
            if not job.outcome.done():
                failure = PoolClosed(self._closed)
                failure.__cause__ = cause
                job.outcome.set_exception(failure)

    async def _release(self) -> None:
        """Cancel what runs, end every process, free every block."""
        self._started = False
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await self._maker.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._cut_off()
        for index, slot in enumerate(self._slots):
            if slot is not None:
                await slot.close()
            self._slots[index] = None
        for block in (*self._blocks, self._quarantine_block):
            block.close()


def _staggered(slots: int, recycle_after: int) -> list[int]:
    """First limits that end at different times, so that not all slots are rebuilt at once."""
    return [max(1, recycle_after - index * recycle_after // slots) for index in range(slots)]


def _settle(job: _Job, outcome: PoolOutcome) -> None:
    if not job.outcome.done():  # its caller may have given up
        job.outcome.set_result(outcome)


def _slot_stats(slot: Slot) -> SlotStats:
    rss_mib, peak_mib = resident_mib(slot.pid)
    return SlotStats(pid=slot.pid, busy=slot.busy, jobs=slot.jobs, rss_mib=rss_mib, peak_mib=peak_mib)
