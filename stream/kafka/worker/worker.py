"""The worker: its components, the order of start and stop, and how it gives up.

Giving up is always the same: log why, then leave at once without acknowledging. Records in flight are read again by
the worker that gets the partitions.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from socket import socket
from typing import Any, NoReturn

import structlog

from config.errors import SettingsError
from config.settings import Settings
from detectors.pool import AnalyserRefused, Layer, RestartReason, SlotPool, SlotStartError
from stream.kafka.agents.agents import AgentRunner, AgentSpec, register
from stream.kafka.agents.breaker import Breaker, BreakerOpen
from stream.kafka.agents.caution import Caution
from stream.kafka.agents.publishing import Publisher
from stream.kafka.agents.trial import Trial, serve
from stream.kafka.clients.security import KafkaRefuses
from stream.kafka.consumer.acks import InOrderAcks, Partition
from stream.kafka.consumer.app import LivenessApp
from stream.kafka.consumer.progress import ConsumerProgress
from stream.kafka.exit_codes import EXIT_BUG, EXIT_DONE, EXIT_SETTINGS, EXIT_UNREACHABLE
from stream.runtime import logs, metrics
from stream.runtime.clock import Clock
from stream.runtime.health import HealthServer, HealthState
from stream.runtime.patience import DependencyTimeout, RetryPolicy

log = structlog.get_logger()

WATCH_EVERY_S = 1.0
#: A stop lets records in flight finish for so long; what isn't done then is dropped, and read again by the next worker.
FINISH_S = 28.0
#: Then the worker leaves after this at the latest, should the broker not let it go.
LEAVE_AFTER_S = 15.0
#: When partitions go or the worker stops, records that wait for a dependency for so long are dropped, and all records
#: where a record may take any time. Also how long a commit may take before partitions go.
DROP_AFTER_S = 3.0
#: Share of the rebalance timeout in which work on partitions that go may end.
HANDOVER_SHARE = 0.75
LOOK_AGAIN_S = 0.25


#: Work of a worker beside its agents, for as long as the worker runs.
BackgroundTask = Callable[[], Coroutine[Any, Any, None]]
#: Done once at start-up; may wait for a dependency.
Check = Callable[[], Awaitable[None]]
#: Done once after the consumer has stopped.
Closing = Callable[[], Awaitable[None]]


#: Ends that are no bug, by their error: event of the log, and exit code.
_ENDS = (
    (DependencyTimeout, "gave_up_waiting", EXIT_UNREACHABLE),
    (SettingsError, "wrong_settings", EXIT_SETTINGS),
    (BreakerOpen, "breaker_open", EXIT_BUG),
)


class Role(StrEnum):
    """Name of an agent in `liveness worker --roles`."""

    DETECT = "detect"
    DECIDE = "decide"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerComponents:
    """Components of one worker, put together by `stream.bootstrap`.

    With `finishes_work` partitions are handed over, and the process ends, once the records in flight are done; without,
    since a record may take any time, these are dropped. `pool` is there only where the worker detects; `checks` come
    before the first record, `closings` after the last; `background_tasks` run beside the agents, and end the worker if
    they fail; `troubles` tells what makes the worker not ready. `caution` and `trial`, both or none, find records on
    which the process dies.
    """

    settings: Settings
    app: LivenessApp
    agents: Sequence[AgentSpec]
    publisher: Publisher
    patience: RetryPolicy
    clock: Clock
    finishes_work: bool = True
    pool: SlotPool | None = None
    checks: Sequence[Check] = ()
    background_tasks: Sequence[BackgroundTask] = ()
    closings: Sequence[Closing] = ()
    troubles: Callable[[], tuple[str, ...]] = tuple
    caution: Caution | None = None
    trial: Trial | None = None


class Stalled(Exception):
    """Standstill: there is work and none gets done; the consumer is stuck, and only a new process helps."""


class Worker:
    """Worker: ties its components to the life of the Faust app."""

    def __init__(self, components: WorkerComponents) -> None:
        self._components = components
        self.app = components.app
        self._acks = InOrderAcks(lambda: self.app.consumer_generation_id)
        self._moved_at = components.clock.monotonic()
        self._tasks: list[asyncio.Task[None]] = []
        self._runners: list[AgentRunner] = []
        self._health = HealthServer(components.settings.http, self.state)
        self.app.lifecycle = self
        self._stopping = False
        self._progress = ConsumerProgress(self.app, self._acks, [spec.topic for spec in components.agents])
        #: Exit code of a stop that takes too long: that of a failure, where no signal asked for the stop.
        self.leave_code = EXIT_DONE
        self._restarts: dict[RestartReason, int] = {}
        signals: Any = self.app
        signals.on_partitions_assigned.connect(self._assigned, weak=False)
        signals.on_partitions_revoked.connect(self._revoked, weak=False)
        for spec in components.agents:
            register(self.app, partial(self._new_runner, spec), spec)

    def state(self) -> HealthState:
        """Health, for the health page and the watchdog. Time without work, or spent waiting, is never time stuck."""
        waiting_for, in_flight, lag = self._components.patience.waiting_for, self._acks.in_flight, self._progress.lag()
        nothing_to_do = not (in_flight or lag or self._progress.has_unfetched())
        if waiting_for or nothing_to_do or self._has_unbounded_work():
            self._note_movement()
        return HealthState(
            assigned=len(self._progress.assignment()),
            missing_topics=self._progress.missing_topics(),
            waiting_for=waiting_for,
            troubles=self._components.troubles(),
            in_flight=in_flight,
            lag=lag,
            stuck_s=self._components.clock.monotonic() - self._moved_at,
            stall_timeout_s=self._components.settings.delivery.stall_timeout_s,
        )

    def _has_unbounded_work(self) -> bool:
        """Whether records are being worked on that end by a deadline of their own, however late: those of a stage that
        may take any time, and one on trial."""
        parts = self._components
        if parts.trial is not None and parts.trial.busy:
            return True
        return not parts.finishes_work and any(runner.tasks for runner in self._runners)

    async def start(self) -> None:
        """Get ready for the first record: slots warm, store answering, health on. Wrong settings end the worker."""
        await self._health.start()
        try:
            ready = await self._services_ready()
        except SettingsError as error:
            self.fail(error)
        if not ready:
            return
        self._note_movement()
        self._tasks = [asyncio.create_task(task()) for task in (self._watch, *self._components.background_tasks)]
        for task in self._tasks:
            task.add_done_callback(self._background_task_ended)
        log.info(
            "worker_started",
            roles=[spec.name for spec in self._components.agents],
            group=self.app.conf.id,
            slots=self._components.settings.detection.slots if self._components.pool else 0,
            embedded=self._components.settings.kafka.embedded,
        )

    async def _services_ready(self) -> bool:
        """Whether all is ready: False when a stop came meanwhile."""
        if self._components.pool is not None and not await self._slots_ready(self._components.pool):
            return False
        patience_s = self._components.settings.delivery.startup_patience_s
        for check in self._components.checks:
            await self._components.patience.until_available(check, at_most_s=patience_s)
        return True

    async def _slots_ready(self, pool: SlotPool) -> bool:
        """Whether the slots are ready: not if a stop came meanwhile. Raises SettingsError for unusable models."""
        try:
            await pool.start()
        except AnalyserRefused as error:
            raise SettingsError(f"detection: {error}") from None
        except SlotStartError:
            if not self._stopping:
                raise
        if not self._stopping:
            _say_confinement(pool)
        return not self._stopping

    async def revoking(self, partitions: Collection[Partition]) -> None:
        """Let the work on partitions that go end, drop what doesn't, and commit what is done."""
        handover_s = HANDOVER_SHARE * self._components.settings.delivery.rebalance_timeout_s
        await self._work_ended(partitions, handover_s if self._components.finishes_work else 0)
        self._drop(partitions)
        commit = asyncio.ensure_future(self.app.consumer.commit())
        _, pending = await asyncio.wait({commit}, timeout=DROP_AFTER_S)
        if pending:
            log.warning("not_committed", partitions=len(partitions))
        await self._hand_over(partitions)

    async def _hand_over(self, partitions: Collection[Partition] | None = None) -> None:
        if self._components.caution is not None:
            await self._components.caution.hand_over(partitions)

    def rewound(self, partitions: Collection[Partition]) -> None:
        """Drop the work on partitions that are read again: its offsets mean other records now."""
        self._drop(partitions)
        if self._components.caution is not None:
            self._components.caution.rewound(partitions)

    def refused(self, error: KafkaRefuses) -> NoReturn:
        """Leave at once: a right that the broker refuses to the user comes by no waiting."""
        self.fail(error)

    async def stopping(self) -> None:
        """Let records in flight end after a stop was asked for, but not for ever: leaving loses nothing, since a record
        that isn't done is not acknowledged."""
        self._stopping = True
        await self._work_ended(self._acks.partitions, FINISH_S if self._components.finishes_work else DROP_AFTER_S)
        asyncio.get_running_loop().call_later(LEAVE_AFTER_S, self._leave_late)
        dropped = self._drop(self._acks.partitions)
        if dropped:
            log.info("work_dropped", records=dropped)
        await self._hand_over()

    def _leave_late(self) -> None:
        self._leave(self.leave_code, "stop_took_too_long")

    async def _work_ended(self, partitions: Collection[Partition], within_s: float) -> None:
        """Wait for the work on records of the partitions: not for long while the worker waits for a dependency, and not
        for records that wait for a turn."""
        for runner in self._runners:
            runner.drop_waiting(partitions)
        clock, patience = self._components.clock, self._components.patience
        end = clock.monotonic() + within_s
        waiting_since: float | None = None
        while tasks := [task for runner in self._runners for task in runner.tasks_of(partitions)]:
            now = clock.monotonic()
            waiting_since = (waiting_since or now) if patience.waiting_for else None
            if now >= end or (waiting_since is not None and now - waiting_since >= DROP_AFTER_S):
                return
            await asyncio.wait(tasks, timeout=LOOK_AGAIN_S)

    def _drop(self, partitions: Collection[Partition]) -> int:
        """Number of records dropped, unacknowledged: the worker that gets the partitions reads them again."""
        dropped = sum(runner.drop(partitions) for runner in self._runners)
        self._acks.revoke(partitions)
        return dropped

    async def stop(self) -> None:
        """End what runs beside the agents, and the connections, after the consumer has stopped."""
        for runner in self._runners:
            runner.drop()
        for task in self._tasks:
            task.cancel()
        await self._health.stop()
        await self._close()
        log.info("worker_stopped")

    async def _close(self) -> None:
        if self._components.pool is not None:
            await self._components.pool.stop()
        if self._components.trial is not None:
            await self._components.trial.close()
        for closing in self._components.closings:
            await closing()

    async def serve_trial(self, worker: socket) -> None:
        """Work on the records that a worker sends through the socket, as that worker's trial
        (`stream.kafka.agents.trial`), until the socket is closed. Leaves at once, as `fail` does, for want of a
        dependency."""
        try:
            if await self._services_ready():
                stages = {spec.name: spec.stage for spec in self._components.agents}
                await serve(worker, stages, self._components.patience)
                await self._close()
        except Exception as error:
            self.fail(error)

    def fail(self, error: BaseException) -> NoReturn:
        """Leave at once; the exit code tells a dependency that stayed away from a bug."""
        for kind, event, code in _ENDS:
            if isinstance(error, kind):
                log.critical(event, why=str(error))
                self._leave(code, "exit")
        log.critical("worker_failed", exc_info=error)
        self._leave(EXIT_BUG, "exit")

    def _leave(self, code: int, event: str) -> NoReturn:
        log.critical(event, code=code, in_flight=self._acks.in_flight)
        logs.end()
        os._exit(code)

    def _new_runner(self, spec: AgentSpec) -> AgentRunner:
        parts = self._components
        breaker = Breaker(parts.settings.delivery)
        trial = None if parts.trial is None else parts.trial.stage(spec.name, spec.stage)
        hooks = (self._note_movement, self.fail, parts.caution, trial)
        self._runners.append(AgentRunner(spec, self._acks, parts.publisher, breaker, *hooks))
        return self._runners[-1]

    def _note_movement(self) -> None:
        self._moved_at = self._components.clock.monotonic()

    async def _assigned(self, _app: Any, assigned: Any, **_: Any) -> None:
        self._progress.joined = True
        self._note_movement()
        log.info("partitions_assigned", count=len(assigned))

    async def _revoked(self, _app: Any, revoked: Any, **_: Any) -> None:
        partitions = {(tp.topic, tp.partition) for tp in revoked}
        self._drop(partitions)  # again: a record may have come since `revoking`
        await self._hand_over(partitions)

    def _background_task_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, DependencyTimeout | SettingsError):
            self._giving_up = asyncio.create_task(self._give_up(error))
        else:
            self.fail(error)

    async def _give_up(self, error: DependencyTimeout | SettingsError) -> None:
        """End the worker for want of a dependency, or of a login or right: no fault of the records in work."""
        self._drop(self._acks.partitions)
        try:
            await self._hand_over()
        finally:
            self.fail(error)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            self._report_pool()
            state = self.state()
            if state.stalled:
                known = f"{state.lag} records to read" if state.lag else "partitions that the client doesn't fetch"
                self.fail(Stalled(f"nothing finished for {state.stuck_s:.0f} s with {known}"))

    def _report_pool(self) -> None:
        if self._components.pool is None:
            return
        stats = self._components.pool.stats()
        metrics.SLOTS_BUSY.set(stats.busy)
        for reason, count in stats.restarts.items():
            metrics.SLOT_RESTARTS.labels(reason=str(reason)).inc(count - self._restarts.get(reason, 0))
        self._restarts = dict(stats.restarts)


def _say_confinement(pool: SlotPool) -> None:
    """Log the layers that confine the slots of a pool, and the missing ones with the reasons; the same as a metric."""
    missing = pool.missing_layers
    layers = [str(layer) for layer in Layer if layer not in missing]
    for layer in Layer:
        metrics.SLOT_CONFINEMENT.labels(layer=str(layer)).set(layer not in missing)
    say = log.warning if missing else log.info
    say("slots_confined", layers=layers, missing={str(layer): why for layer, why in missing.items()})
