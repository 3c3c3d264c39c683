"""What crosses the socket between parent and slot: fixed headers, capped bodies, never pickle.

The picture itself is not in here; it lies in the slot's block.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from detectors.analysis_codec import MAX_BYTES

#: Parent to slot: number of the job, bytes of the picture in the block.
JOB = Struct("<QQ")

_REPLY = Struct("<QBI")


class ReplyKind(IntEnum):
    READY = 0
    START_FAILED = 1
    ANALYSED = 2
    #: `analyse` raised; the body is a failed analysis.
    RAISED = 3
    #: The analyser's own files are wrong, where START_FAILED may be anything.
    REFUSED = 4


@dataclass(frozen=True, slots=True)
class Reply:
    """Slot to parent: an encoded analysis, or the words of a failed start."""

    job: int
    kind: ReplyKind
    body: bytes = b""


class MalformedReply(ValueError):
    """The bytes are no reply; nothing after them can be trusted."""


def pack_reply(reply: Reply) -> bytes:
    return _REPLY.pack(reply.job, reply.kind, len(reply.body)) + reply.body


class ReplyReader:
    """Cuts a byte stream into replies."""

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
        if length > MAX_BYTES or kind not in ReplyKind.__members__.values():
            raise MalformedReply("unknown kind or too long")
        end = _REPLY.size + length
        if len(self._pending) < end:
            return None
        body = bytes(self._pending[_REPLY.size : end])
        del self._pending[:end]
        return Reply(job, ReplyKind(kind), body)
