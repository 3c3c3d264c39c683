"""Messages on the socket between parent and slot: fixed headers, capped bodies, never pickle.

The bytes of the frames are in the slot's block and cross no socket.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from detectors.analysis_codec import MAX_BYTES
from detectors.contract import MAX_FRAMES

#: Parent to slot: number of the job, whether measures are asked for, frames in the block, the length in bytes of each
#: (0 behind the last): one size, so that the slot reads a job with a single call.
_JOB = Struct(f"<Q?I{MAX_FRAMES}Q")

_REPLY = Struct("<QBI")
#: Before each analysis in a reply: its length in bytes.
_PART = Struct("<I")
MAX_BODY_BYTES = MAX_FRAMES * (MAX_BYTES + _PART.size)


class ReplyKind(IntEnum):
    """Kind of a reply from a slot."""

    READY = 0
    START_FAILED = 1
    ANALYSED = 2
    #: `analyse` raised; the body is a failed analysis.
    RAISED = 3
    #: The analyser's own files are wrong, where START_FAILED may be anything.
    REFUSED = 4


@dataclass(frozen=True, slots=True)
class Reply:
    """Slot to parent: the encoded analyses of a job (see `join`), or the words of a failed start."""

    job: int
    kind: ReplyKind
    body: bytes = b""


class MalformedReply(ValueError):
    """Bytes that are no reply; nothing received afterwards can be trusted."""


class JobHeader(NamedTuple):
    """Parent to slot: `number` of the job, the lengths in bytes of its frames in the block, 1 to `MAX_FRAMES`, and
    whether the frames are `measured` for active liveness."""

    number: int
    lengths: tuple[int, ...]
    measured: bool = False

    def pack(self) -> bytes:
        frames = len(self.lengths)
        return _JOB.pack(self.number, self.measured, frames, *self.lengths, *(0,) * (MAX_FRAMES - frames))


def receive_job(channel: socket.socket) -> JobHeader | None:
    """The next job on a blocking channel; None when the parent has closed the channel."""
    header = channel.recv(_JOB.size, socket.MSG_WAITALL)
    if len(header) < _JOB.size:
        return None
    number, measured, frames, *lengths = _JOB.unpack(header)
    return JobHeader(number, tuple(lengths[:frames]), measured)


def join(analyses: Iterable[bytes]) -> bytes:
    """The body of a reply: encoded analyses, each behind its length."""
    return b"".join(_PART.pack(len(each)) + each for each in analyses)


def split(body: bytes) -> tuple[memoryview, ...]:
    """The inverse of `join`, without a copy; raises MalformedReply."""
    rest, parts = memoryview(body), []
    while rest:
        if len(rest) < _PART.size:
            raise MalformedReply("a part without a length")
        end = _PART.size + _PART.unpack_from(rest)[0]
        if end > len(rest):
            raise MalformedReply("a part is longer than the reply")
        parts.append(rest[_PART.size : end])
        rest = rest[end:]
    return tuple(parts)


def pack_reply(reply: Reply) -> bytes:
    return _REPLY.pack(reply.job, reply.kind, len(reply.body)) + reply.body


class ReplyReader:
    """Replies cut out of a byte stream, whatever its chunks."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, chunk: bytes) -> list[Reply]:
        """Every reply that is now complete; raises MalformedReply."""
        self._pending += chunk
        replies: list[Reply] = []
        while (reply := self._next()) is not None:
            replies.append(reply)
        return replies

    def _next(self) -> Reply | None:
        if len(self._pending) < _REPLY.size:
            return None
        job, kind, length = _REPLY.unpack_from(self._pending)
        if length > MAX_BODY_BYTES or kind not in ReplyKind.__members__.values():
            raise MalformedReply("unknown kind or too long")
        end = _REPLY.size + length
        if len(self._pending) < end:
            return None
        body = bytes(self._pending[_REPLY.size : end])
        del self._pending[:end]
        return Reply(job, ReplyKind(kind), body)
