"""Reading a partition whose records may have header names that are not UTF-8.

Kafka stores a header's name as the bytes it was sent; the client's parser insists on UTF-8 and fails on the whole
fetch, again at every attempt: one such record would stop its partition for good. Here the batch is read a second
time by the client's own pure-Python parser, with those names escaped; nothing else of the record changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, SupportsIndex, overload

from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

#: A batch begins with its base offset (8 bytes) and the length of what follows (4 bytes), big-endian.
_LENGTH_AT, _BODY_AT = 8, 12


class TolerantRecords:
    """Stands in for the client's MemoryRecords: the record batches of one fetch, in order."""

    def __init__(self, fetched: bytes) -> None:
        self._fetched = fetched
        self._records: Any = MemoryRecords(fetched)
        self._position = 0

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> _TolerantBatch:
        start, self._position = self._position, self._end_of_batch()
        return _TolerantBatch(self._records.next_batch(), self._fetched, start, self._position)

    def size_in_bytes(self) -> int:
        return int(self._records.size_in_bytes())

    def _end_of_batch(self) -> int:
        at = self._position + _LENGTH_AT
        return self._position + _BODY_AT + int.from_bytes(self._fetched[at : at + 4], "big")


class _TolerantBatch:
    """One batch: the client's own in every respect, but for the names it can't decode."""

    def __init__(self, batch: Any, fetched: bytes, start: int, end: int) -> None:
        self._batch = batch
        self._where = fetched, start, end

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        done = 0
        try:
            for record in self._batch:
                yield record
                done += 1
        except UnicodeDecodeError:
            fetched, start, end = self._where
            yield from islice(_LenientBatch(bytearray(fetched[start:end])), done, None)


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]  # the client has no types
    _buffer: Any

    def __iter__(self) -> Any:
        super().__iter__()  # unpacks a compressed batch
        self._buffer = _LenientBytes(self._buffer)
        return self


class _LenientBytes(bytearray):
    """Bytes whose slices decode to something whatever they hold."""

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, index: slice, /) -> _LenientBytes: ...
    def __getitem__(self, index: SupportsIndex | slice, /) -> int | _LenientBytes:
        found = super().__getitem__(index)
        return found if isinstance(found, int) else _LenientBytes(found)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")
