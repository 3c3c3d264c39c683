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
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import structlog
from pydantic import ConfigDict, TypeAdapter

from stream.events.messages import Output, Record
from stream.kafka.agents import ENDS_WORKER, EndedOnRecord, Stage
from stream.kafka.exit_codes import EXIT_UNREACHABLE
from stream.runtime.process import die_with_parent

log = structlog.get_logger()

#: Environment variable with the file descriptor of a trial process' socket.
SOCKET = "STREAM_TRIAL_SOCKET"
#: One picture at a time needs one slot.
ONE_SLOT = {"LIVENESS_DETECTION__SLOTS": "1"}
STARTS, START_WITHIN_S, PAUSE_S = 3, 150.0, 2.0
#: A process without a sign of life for so long has ended on its record.
BEAT_S, SILENT_S = 5.0, 60.0
#: A process that nothing was asked of for so long is stopped.
IDLE_S = 20.0
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


class _Ended(Exception):
    """End of a trial process during a call, with its exit code; None if it fell silent."""

    def __init__(self, code: int | None) -> None:
        super().__init__("silent" if code is None else f"code {code}")
        self.code = code


class StageRaised(Exception):
    """Exception of a stage in a trial process, by its type."""


class Trial:
    """Trial of a worker, for all its agents: one record at a time, in a process that starts with the first."""

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = command or [sys.executable, *sys.orig_argv[1:]]
        self._process: _Process | None = None
        self._turn = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None

    @property
    def busy(self) -> bool:
        """Whether a record is on trial, which may take minutes."""
        return self._turn.locked()

    def stage(self, agent: str) -> Stage:
        """The agent's stage in the trial process. Raises `EndedOnRecord` where the process ends, and `StageRaised`."""
        return _TrialStage(self, agent)

    async def call(self, call: _Call) -> list[Output]:
        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
            try:
                reply = await self._asked(call)
            except BaseException:  # ended, or the caller left amid the work
                self.close()
                raise
            self._idle = asyncio.get_running_loop().call_later(IDLE_S, self.close)
        if reply.raised is not None:
            raise StageRaised(reply.raised)
        return reply.outputs

    def close(self) -> None:
        """Stop the process. May be repeated."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    async def _asked(self, call: _Call) -> _Reply:
        """Reply of the process. Another process is asked after an end for want of a dependency, and once after a kill,
        which may be for want of memory."""
        killed = False
        while True:
            if self._process is None:
                self._process = await self._started()
            try:
                return _REPLY.validate_json(await self._process.ask(_CALL.dump_json(call)))
            except _Ended as end:
                log.warning("trial_ended", agent=call.agent, code=end.code)
                if end.code == -signal.SIGKILL and not killed:
                    killed = True
                elif end.code != EXIT_UNREACHABLE:
                    raise EndedOnRecord(str(end)) from None
            self.close()
            await asyncio.sleep(PAUSE_S)

    async def _started(self) -> _Process:
        failed = 0
        while True:
            process = await _Process.start(self._command)
            try:
                code = await process.ready()
            except BaseException:
                process.kill()
                raise
            if code is None:
                return process
            failed += code != EXIT_UNREACHABLE
            log.error("trial_not_started", code=code)
            if failed == STARTS:
                raise EndedOnRecord(f"no trial: its process ended at its start, with code {code}")
            await asyncio.sleep(PAUSE_S)


class _TrialStage:
    """Stage of an agent as the agent's runner sees it; the work is done in the trial process."""

    def __init__(self, trial: Trial, agent: str) -> None:
        self._trial, self._agent = trial, agent

    async def handle(self, record: Record) -> Sequence[Output]:
        return await self._trial.call(_Call(agent=self._agent, method="handle", record=record))

    async def answer(self, record: Record) -> Sequence[Output]:
        return await self._trial.call(_Call(agent=self._agent, method="answer", record=record))


class _Process:
    """Trial process, as the worker holds it."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process, self._reader, self._writer = process, reader, writer

    @classmethod
    async def start(cls, command: Sequence[str]) -> _Process:
        ours, theirs = socket.socketpair()
        with theirs:
            environment = {**os.environ, **ONE_SLOT, SOCKET: str(theirs.fileno())}
            process = await asyncio.create_subprocess_exec(
                *command, stdin=subprocess.DEVNULL, env=environment, pass_fds=[theirs.fileno()]
            )
        return cls(process, *await asyncio.open_connection(sock=ours))

    async def ready(self) -> int | None:
        """Exit code of a process that ended at its start; None once the process takes records."""
        try:
            async with asyncio.timeout(START_WITHIN_S):
                await _read(self._reader)
            return None
        except TimeoutError:
            self.kill()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        return await self._process.wait()

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
            raise _Ended(await self._process.wait()) from None

    def kill(self) -> None:
        self._writer.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()


def inherited_socket() -> socket.socket | None:
    """Socket to the worker that started this process as its trial; None in any other process."""
    number = os.environ.pop(SOCKET, None)
    return None if number is None else socket.socket(fileno=int(number))


async def serve(worker: socket.socket, stages: Mapping[str, Stage]) -> None:
    """Work on the records that the worker sends, until the worker closes the socket. Raises `ENDS_WORKER`."""
    die_with_parent()
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group; the worker stops this process
        signal.signal(number, signal.SIG_IGN)
    reader, writer = await asyncio.open_connection(sock=worker)
    beating = asyncio.create_task(_beat(writer))
    log.info("trial_began")
    try:
        while True:
            call = _CALL.validate_json(await _read(reader))
            _write(writer, _REPLY.dump_json(await _reply(stages[call.agent], call)))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        beating.cancel()


async def _reply(stage: Stage, call: _Call) -> _Reply:
    method = stage.handle if call.method == "handle" else stage.answer
    try:
        return _Reply(outputs=list(await method(call.record)))
    except ENDS_WORKER:
        raise
    except Exception as error:
        return _Reply(outputs=[], raised=type(error).__name__)


async def _beat(writer: asyncio.StreamWriter) -> None:
    """Write empty frames, the first of which says that the process is ready."""
    while True:
        _write(writer, b"")
        await asyncio.sleep(BEAT_S)


async def _read(reader: asyncio.StreamReader) -> bytes:
    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
    return await reader.readexactly(length)


def _write(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(len(frame).to_bytes(_LENGTH_BYTES) + frame)
