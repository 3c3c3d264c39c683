"""Reading a partition that strangers write to: no batch may stop it, and none may grow without bound.

What the broker stored, the client must get past: its parser fails the whole fetch, again at every attempt, on a header
name that isn't UTF-8, a codec it lacks, or junk behind a packed batch; and a record may hold millions of headers, or
megabytes of them. Plain batches with few and small headers are left to the client's own fast parser. All others are
read here; the rest of a batch that can't be read becomes one stand-in record with the batch's bytes, which intake sets
aside.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import KafkaError
from aiokafka.record.default_records import _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

from stream.events.message.messages import HEADERS_CUT_HEADER, UNREADABLE_BATCH_HEADER
from stream.kafka.clients.unpacking import unpack

#: Where a batch of format 2 keeps what is asked here (Kafka protocol, record batch): offsets in bytes, big-endian.
_LENGTH_AT, _BODY_AT, _MAGIC_AT, _CODEC_AT, _COUNT_AT, _RECORDS_AT = 8, 12, 16, 22, 57, 61
_CODEC_MASK = 0x07
#: Records of a partition that are handed on at a time. A batch of 100 KB may hold a hundred thousand records with 256
#: headers each: gigabytes of Python objects, and records of other partitions would come after all of them.
AT_A_TIME = 64
#: Records of a batch beyond which no look at all their headers comes before the first is read.
MANY_RECORDS = 10_000
#: An event has about ten headers; a 15 MB record could hold seven million, a gigabyte of Python objects.
MAX_HEADERS = 256
#: Bytes of a record's headers together, as they are in the log: a record that waits for its turn holds no more.
MAX_HEADER_BYTES = 64 * 1024


def read_everything() -> None:
    """Have this process' clients read past whatever a partition holds: workers, and commands that read whole topics.
    Called before a client is made; may be repeated."""
    fetcher.MemoryRecords, fetcher.FetchResult = TolerantRecords, PartFetch


class PartFetch(FetchResult):  # type: ignore[misc]  # the client has no types
    """Result of a partition's fetch, handed on in parts: partitions take turns, however much one of them holds."""

    def getall(self, max_records: int | None = None) -> list[Any]:
        return list(super().getall(min(max_records or AT_A_TIME, AT_A_TIME)))


class TolerantRecords:
    """Record batches of one fetch, in order, in place of the client's MemoryRecords."""

    def __init__(self, fetched: bytes) -> None:
        self._fetched = memoryview(fetched)
        self._records: Any = MemoryRecords(fetched)
        self._position = 0

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> _TolerantBatch:
        start, self._position = self._position, self._end_of_batch()
        return _TolerantBatch(self._records.next_batch(), self._fetched[start : self._position])

    def size_in_bytes(self) -> int:
        return int(self._records.size_in_bytes())

    def _end_of_batch(self) -> int:
        at = self._position + _LENGTH_AT
        return self._position + _BODY_AT + int.from_bytes(self._fetched[at : at + 4], "big")


class _TolerantBatch:
    """Batch that is always read to its end, otherwise the client's own."""

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        """The next record of a control batch, which the broker itself wrote."""
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        done = 0
        try:
            if _is_plain(self._raw):
                try:
                    for record in self._batch:
                        yield record
                        done += 1
                except UnicodeDecodeError:
                    pass
                else:
                    return
            for record in islice(_LenientBatch(self._raw), done, None):
                yield record
                done += 1
        except (ValueError, IndexError, KafkaError):
            yield self._stand_in()

    def _stand_in(self) -> Any:
        """Stand-in for the rest of the batch, at its last offset: a repeated fetch would bring the same bytes."""
        batch = self._batch
        headers = [(UNREADABLE_BATCH_HEADER, b"")]
        return _DefaultRecordPy(
            batch.next_offset - 1, batch.max_timestamp, batch.timestamp_type, None, bytes(self._raw), headers
        )


def _is_plain(raw: memoryview) -> bool:
    """Whether the client's parser may read the batch: not packed, few records, and none with too much of headers."""
    if raw[_MAGIC_AT] < 2:
        return True
    records = int.from_bytes(raw[_COUNT_AT:_RECORDS_AT], "big")
    if raw[_CODEC_AT] & _CODEC_MASK or records > MANY_RECORDS:
        return False
    at = _RECORDS_AT
    for _ in range(records):
        length, at = decode_varint(raw, at)
        end = at + length
        if _too_much(*_header_count(raw, at), end):
            return False
        at = end
    return True


def _header_count(raw: memoryview, at: int) -> tuple[int, int]:
    """Number of a record's headers, and where the first one begins."""
    at += 1  # attributes
    for _ in range(2):  # timestamp and offset, as differences
        _, at = decode_varint(raw, at)
    for _ in range(2):  # key and value
        size, at = decode_varint(raw, at)
        at += max(size, 0)
    count, at = decode_varint(raw, at)
    return count, at


def _too_much(count: int, at: int, end: int) -> bool:
    return count > MAX_HEADERS or end - at > MAX_HEADER_BYTES


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]  # the client has no types
    """The client's own slow parser, with bounded unpacking and header names that need not be text."""

    _buffer: Any
    _pos: int
    _decompressed: bool

    def _maybe_uncompress(self) -> None:
        if not self._decompressed and self.compression_type:
            self._buffer = unpack(self.compression_type, bytes(self._buffer[self._pos :]))
            self._pos = 0
        self._decompressed = True

    def _read_msg(self, decode_varint: Any = decode_varint) -> Any:
        buffer = self._buffer
        length, at = decode_varint(buffer, self._pos)
        self._pos = end = at + length
        if length < 0 or end > len(buffer):
            raise ValueError("a record is longer than its batch")
        since, at = decode_varint(buffer, at + 1)
        offset, at = decode_varint(buffer, at)
        key, at = _field(buffer, at, end)
        value, at = _field(buffer, at, end)
        timestamp = self.max_timestamp if self.timestamp_type else self.first_timestamp + since
        return _DefaultRecordPy(
            self.base_offset + offset, timestamp, self.timestamp_type, key, value, _headers(buffer, at, end)
        )


def _headers(buffer: Any, at: int, end: int) -> list[tuple[str, bytes | None]]:
    """Headers of a record. Of too many the first are looked at, and as many of these kept as there is room for."""
    count, at = decode_varint(buffer, at)
    headers: list[tuple[str, bytes | None]] = [(HEADERS_CUT_HEADER, b"")] if _too_much(count, at, end) else []
    room = MAX_HEADER_BYTES
    for _ in range(min(count, MAX_HEADERS)):
        start = at
        name, at = _field(buffer, at, end)
        value, at = _field(buffer, at, end)
        if at - start <= room:
            room -= at - start
            headers.append(((name or b"").decode("utf-8", "backslashreplace"), value))
    return headers


def _field(buffer: Any, at: int, end: int) -> tuple[bytes | None, int]:
    size, at = decode_varint(buffer, at)
    if size < 0:
        return None, at
    if at + size > end:
        raise ValueError("a field is longer than its record")
    return bytes(buffer[at : at + size]), at + size
