"""Trial: records on which a worker may have ended, worked on in a process of their own.

A worker that died of its record can't be told from one that somebody killed. A trial process can: the worker that
started the process outlives it. The process is the worker's own command line once more, with a socket to the worker in
place of a share in the topics; so the process has the same stages, and the same bugs. The worker publishes what the
stages give, and acknowledges.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import structlog
from pydantic import ConfigDict, TypeAdapter

from config.errors import SettingsError, Unavailable
from stream.events.message.messages import Output, Record
from stream.kafka.agents.agents import ENDS_WORKER, EndedOnRecord, Stage, say_failed
from stream.kafka.exit_codes import EXIT_SETTINGS, EXIT_UNREACHABLE
from stream.runtime.patience import RetryPolicy
from stream.runtime.process import die_with_parent

log = structlog.get_logger()

#: Environment variable with the file descriptor of a trial process' socket.
SOCKET = "STREAM_TRIAL_SOCKET"
#: One picture at a time needs one slot.
ONE_SLOT = {"LIVENESS_DETECTION__SLOTS": "1"}
STARTS, START_WITHIN_S, PAUSE_S = 3, 300.0, 2.0
#: A process without a sign of life for so long has ended on its record; so has one that works on a call for so long,
#: and waits for no dependency.
BEAT_S, SILENT_S = 5.0, 60.0
#: A process that nothing was asked of for so long is stopped, and killed if it isn't gone after a while.
IDLE_S, GONE_AFTER_S = 20.0, 5.0
_LENGTH_BYTES = 4
_BASE64 = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


class _Call(NamedTuple):
    """Call of a stage's method, from the worker to the trial process."""

    agent: str
    method: Literal["handle", "answer"]
    record: Record


class _Reply(NamedTuple):
    """Reply to a call: the stage's outputs, or the type of what the stage raised."""

    outputs: list[Output]
    raised: str | None = None


_CALL, _REPLY = TypeAdapter(_Call, config=_BASE64), TypeAdapter(_Reply, config=_BASE64)


class StageRaised(Exception):
    """Exception of a stage in a trial process, by its type."""


class _Ended(Exception):
    """End of a trial process during a call, with its exit code; None if it fell silent."""

    def __init__(self, code: int | None) -> None:
        super().__init__("silent" if code is None else f"code {code}")
        self.code = code


class _NoTrial(Exception):
    """Failure to start a trial process, for another cause than an absent dependency."""


class Trial:
    """Trial of a worker, for all its agents: one record at a time, in a process that starts with the first."""

    def __init__(self, patience: RetryPolicy, command: Sequence[str] | None = None) -> None:
        self._patience = patience
        self._command = command or [sys.executable, *sys.orig_argv[1:]]
        self._process: _Process | None = None
        self._turn = asyncio.Lock()
        self._stopping: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a record is on trial, which may take minutes."""
        return self._turn.locked()

    def stage(self, agent: str, own: Stage) -> Stage:
        """The agent's stage in the trial process, or the worker's `own` where no process can be started. Raises
        `EndedOnRecord` where the process ends, and `StageRaised`."""
        return _TrialStage(self, agent, own)

    async def call(self, call: _Call) -> list[Output]:
        """Outputs of a stage's method. The process is killed if the caller leaves before its answer. Waits while the
        process wants a dependency. Raises `EndedOnRecord`, `StageRaised`, `_NoTrial`, and SettingsError for a login or
        right that was taken away."""
        async with self._turn:
            if self._stopping is not None:
                self._stopping.cancel()
            try:
                reply = await self._asked(call)
            except BaseException:
                self._kill()
                raise
            self._stopping = asyncio.create_task(self._stop_idle())
        if reply.raised is not None:
            raise StageRaised(reply.raised)
        return reply.outputs

    async def close(self) -> None:
        """Stop the process. May be repeated."""
        process, self._process = self._process, None
        if process is not None:
            await process.close()

    async def _stop_idle(self) -> None:
        await asyncio.sleep(IDLE_S)
        async with self._turn:
            await self.close()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None

    async def _asked(self, call: _Call) -> _Reply:
        """Reply of the process. One more process is asked after an end that may have another cause than the record: the
        records before, a kill for want of memory, a machine that stood still."""
        frame, repeated = _CALL.dump_json(call), False
        while True:
            fresh = self._process is None
            try:
                return _REPLY.validate_json(await self._patience.until_available(self._answer, frame))
            except _Ended as end:
                log.warning("trial_ended", agent=call.agent, **call.record.place, code=end.code)
                if end.code == EXIT_SETTINGS:
                    raise SettingsError("the trial of a record ended for its settings; its log says which") from None
                if repeated or (fresh and end.code not in (None, -signal.SIGKILL)):
                    raise EndedOnRecord(str(end)) from None
            repeated = True
            self._kill()

    async def _answer(self, frame: bytes) -> bytes:
        """Answer of the process, which is started first where there is none. Raises Unavailable for a process that
        wants a dependency."""
        if self._process is None:
            self._process = await self._started()
        try:
            return await self._process.ask(frame)
        except _Ended as end:
            if end.code != EXIT_UNREACHABLE:
                raise
            self._kill()
            raise Unavailable("trial", "Away") from None

    async def _started(self) -> _Process:
        for _ in range(STARTS):
            code = None
            with contextlib.suppress(OSError):  # no process, no memory, no file descriptor left
                process = await _Process.start(self._command)
                code = await process.ready()
                if code is None:
                    return process
            log.error("trial_not_started", code=code)
            if code == EXIT_UNREACHABLE:
                raise Unavailable("trial", "Away")
            await asyncio.sleep(PAUSE_S)
        raise _NoTrial


class _TrialStage:
    """Stage of an agent as the agent's runner sees it; the work is done in the trial process."""

    def __init__(self, trial: Trial, agent: str, own: Stage) -> None:
        self._trial, self._agent, self._own = trial, agent, own

    async def handle(self, record: Record) -> Sequence[Output]:
        try:
            return await self._trial.call(_Call(agent=self._agent, method="handle", record=record))
        except _NoTrial:
            return await self._own.handle(record)

    async def answer(self, record: Record) -> Sequence[Output]:
        try:
            return await self._trial.call(_Call(agent=self._agent, method="answer", record=record))
        except _NoTrial:
            return await self._own.answer(record)


class _Process:
    """Trial process, as the worker holds it."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process, self._reader, self._writer = process, reader, writer

    @classmethod
    async def start(cls, command: Sequence[str]) -> _Process:
        """Process, begun. Raises OSError."""
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            with theirs:
                environment = {**os.environ, **ONE_SLOT, SOCKET: str(theirs.fileno())}
                process = await asyncio.create_subprocess_exec(
                    *command, stdin=subprocess.DEVNULL, env=environment, pass_fds=[theirs.fileno()]
                )
        except BaseException:
            writer.close()
            raise
        return cls(process, reader, writer)

    async def ready(self) -> int | None:
        """Exit code of a process that ended at its start; None once the process takes records."""
        try:
            async with asyncio.timeout(START_WITHIN_S):
                await _read(self._reader)
            return None
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            self._writer.close()
            return await self._gone()
        except BaseException:
            self.kill()
            raise

    async def ask(self, frame: bytes) -> bytes:
        """Reply to a call. Raises `_Ended`, also for a process that is silent."""
        try:
            _write(self._writer, frame)
            while True:
                async with asyncio.timeout(SILENT_S):
                    if reply := await _read(self._reader):
                        return reply
        except TimeoutError:
            raise _Ended(None) from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise _Ended(await self._gone()) from None

    async def close(self) -> None:
        """End the process, which sees the socket close."""
        self._writer.close()
        await self._gone()

    async def _gone(self) -> int:
        """Exit code of a process that is about to end; killed if that takes long."""
        try:
            async with asyncio.timeout(GONE_AFTER_S):
                return await self._process.wait()
        except TimeoutError:
            self.kill()
            return await self._process.wait()
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        self._writer.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()


def inherited_socket() -> socket.socket | None:
    """Socket to the worker that started this process as its trial; None in any other process."""
    number = os.environ.pop(SOCKET, None)
    if number is None:
        return None
    die_with_parent()
    return socket.socket(fileno=int(number))


async def serve(worker: socket.socket, stages: Mapping[str, Stage], patience: RetryPolicy) -> None:
    """Work on the records that the worker sends, until the worker closes the socket. Raises `ENDS_WORKER`."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group; the worker stops this process
        signal.signal(number, signal.SIG_IGN)
    reader, writer = await asyncio.open_connection(sock=worker)
    log.info("trial_began")
    beats = _Beats(writer, patience)
    beating = asyncio.create_task(beats.run())
    try:
        while True:
            call = _CALL.validate_json(await _read(reader))
            with beats.call():
                reply = await _reply(stages[call.agent], call)
            _write(writer, _REPLY.dump_json(reply))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        beating.cancel()


class _Beats:
    """Signs of life: empty frames. The first says that the process is ready; none comes while a call takes too long."""

    def __init__(self, writer: asyncio.StreamWriter, patience: RetryPolicy) -> None:
        self._writer, self._patience = writer, patience
        self._since: float | None = None

    @contextlib.contextmanager
    def call(self) -> Iterator[None]:
        """Context of the work on a call."""
        self._since = time.monotonic()
        yield
        self._since = None

    async def run(self) -> None:
        while True:
            if self._patience.waiting_for and self._since is not None:
                self._since = time.monotonic()
            if self._since is None or time.monotonic() - self._since < SILENT_S:
                _write(self._writer, b"")
            await asyncio.sleep(BEAT_S)


async def _reply(stage: Stage, call: _Call) -> _Reply:
    method = stage.handle if call.method == "handle" else stage.answer
    try:
        return _Reply(outputs=list(await method(call.record)))
    except ENDS_WORKER:
        raise
    except Exception as error:
        say_failed("trial_failed", call.agent, call.record, error)
        return _Reply(outputs=[], raised=type(error).__name__)


async def _read(reader: asyncio.StreamReader) -> bytes:
    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
    return await reader.readexactly(length)


def _write(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(len(frame).to_bytes(_LENGTH_BYTES) + frame)
