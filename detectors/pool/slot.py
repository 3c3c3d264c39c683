"""A slot as the event loop sees it: a channel for one job at a time, and the block with the job's frames."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from detectors.analysis_codec import MalformedAnalysis, decode
from detectors.contract import Analysis, Frame
from detectors.pool.blocks import ImageBlock
from detectors.pool.confinement.layers import Layer, Missing
from detectors.pool.launcher import Launcher, SlotProcess
from detectors.pool.messages import JobHeader, MalformedReply, Reply, ReplyKind, ReplyReader, split
from detectors.pool.outcomes import AnalyserRefused, CrashCause, SlotStartError

#: A killed process is gone within milliseconds, unless it hangs in the kernel.
_REAP_S = 5.0


@dataclass(frozen=True, slots=True)
class Answered:
    """End of a job with an analysis a frame. `raised`: the analyser raised, so the slot must not be used again."""

    analyses: tuple[Analysis, ...]
    raised: bool


@dataclass(frozen=True, slots=True)
class Expired:
    """End of a job without an answer by the deadline; the slot has been killed."""


@dataclass(frozen=True, slots=True)
class Lost:
    """End of a job with the loss of the process: gone by itself, or killed for a malformed reply."""

    cause: CrashCause
    code: int


class Slot:
    """Slot to `open`, to `run` one submission at a time in, and to `close`. Useless after Expired or Lost."""

    def __init__(self, launcher: Launcher, block: ImageBlock) -> None:
        self.jobs = 0
        self.busy = False
        self.lost = False
        self.missing_layers: Missing = {}
        self._malformed = False
        self._launcher = launcher
        self._block = block
        self._loop = asyncio.get_running_loop()
        self._replies = ReplyReader()
        self._waiting: asyncio.Future[Reply | Expired | None] | None = None
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        with theirs:
            self._process: SlotProcess = launcher.fork(theirs, block.fd)
        self._loop.add_reader(self._channel, self._on_readable)

    @classmethod
    async def open(cls, launcher: Launcher, block: ImageBlock, timeout_s: float) -> Slot:
        """Fork a slot and wait until its analyser is built; raises SlotStartError."""
        slot = cls(launcher, block)
        try:
            reply = await slot._reply_within(timeout_s)
            if not isinstance(reply, Reply) or reply.kind is not ReplyKind.READY:
                raise await slot._why_not_ready(reply)
            slot.missing_layers = {Layer(name): why for name, why in orjson.loads(reply.body).items()}
        except BaseException:
            await slot.close()
            raise
        return slot

    @property
    def pid(self) -> int:
        return self._process.pid

    async def run(
        self, frames: Sequence[Frame], deadline_s: float, *, measured: bool = False
    ) -> Answered | Expired | Lost:
        """Analyse the frames of one submission. The deadline counts from now; at the deadline the process is killed."""
        self.jobs += 1
        self.busy = True
        try:
            lengths = self._block.write(frame.image for frame in frames)
            with contextlib.suppress(OSError):  # a dead slot's end of file follows
                self._channel.send(JobHeader(self.jobs, lengths, measured).pack())
            reply = await self._reply_within(deadline_s)
        finally:
            self.busy = False
        if isinstance(reply, Expired):
            return reply
        answer = self._interpret(reply, len(frames))
        return answer if answer is not None else await self._loss()

    async def close(self) -> None:
        """Kill the process if alive and wait until the block has no reader any more. May be repeated."""
        self._abandon()
        done, _ = await asyncio.wait([self._process.exited], timeout=_REAP_S)
        if not done:  # the fork server or the kernel hangs: end them all
            await self._launcher.close()

    def _interpret(self, reply: Reply | None, frames: int) -> Answered | None:
        if reply is None:
            return None
        try:
            if reply.kind not in (ReplyKind.ANALYSED, ReplyKind.RAISED) or reply.job != self.jobs:
                raise MalformedAnalysis("not the answer to this job")
            parts = split(reply.body)
            if len(parts) != frames:
                raise MalformedReply("not an analysis a frame")
            return Answered(tuple(map(decode, parts)), raised=reply.kind is ReplyKind.RAISED)
        except (MalformedAnalysis, MalformedReply):
            self._malformed = True
            return None

    async def _loss(self) -> Lost:
        await self.close()
        code = self._process.exited.result() if self._process.exited.done() else -signal.SIGKILL
        if self._malformed:
            return Lost(CrashCause.MALFORMED_REPLY, 0)
        return Lost(CrashCause.SIGNAL, -code) if code < 0 else Lost(CrashCause.EXIT, code)

    async def _why_not_ready(self, reply: Reply | Expired | None) -> SlotStartError:
        if isinstance(reply, Expired):
            return SlotStartError("the analyser was not built in time")
        if reply is not None and reply.kind in (ReplyKind.START_FAILED, ReplyKind.REFUSED):
            kind = AnalyserRefused if reply.kind is ReplyKind.REFUSED else SlotStartError
            return kind(f"the slot could not be made ready: {reply.body.decode(errors='replace')}")
        lost = await self._loss()
        return SlotStartError(f"the slot process ended while the analyser was built ({lost.cause} {lost.code})")

    async def _reply_within(self, seconds: float) -> Reply | Expired | None:
        """The next reply; None if the process is gone, Expired (and killed) if the time is up first."""
        if self.lost:
            return None
        self._waiting = self._loop.create_future()
        timer = self._loop.call_later(seconds, self._expire)
        try:
            return await self._waiting
        finally:
            timer.cancel()
            self._waiting = None

    def _expire(self) -> None:
        self._settle(Expired())
        self._abandon()

    def _on_readable(self) -> None:
        try:
            chunk = self._channel.recv(65536)
            replies = self._replies.feed(chunk)
        except BlockingIOError:
            return
        except OSError:
            chunk, replies = b"", []
        except MalformedReply:
            self._malformed = True
            chunk, replies = b"", []
        if len(replies) == 1 and self._settle(replies[0]):
            return
        if chunk and not replies:
            return  # a part of a reply
        self._malformed = self._malformed or bool(replies)  # one that nobody asked for
        self._abandon()

    def _settle(self, reply: Reply | Expired | None) -> bool:
        if self._waiting is None or self._waiting.done():
            return False
        self._waiting.set_result(reply)
        return True

    def _abandon(self) -> None:
        """Stop listening and kill the process; may be repeated."""
        if self.lost:
            return
        self.lost = True
        self._loop.remove_reader(self._channel)
        self._channel.close()
        self._launcher.kill(self._process)
        self._settle(None)
