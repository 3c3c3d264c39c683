"""Positions in partitions against what the log still holds: what was deleted unread, and what lies beyond the end.

A group that commits an offset beyond a log's end (a broker that lost its last records, offsets of another cluster)
would read nothing, and Faust would drop every record below the offset it expects. Such a partition is read again from
its first record. Records that retention deleted before any worker read them are counted: nothing brings them back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from stream.kafka.consumer.acks import Partition
from stream.runtime import metrics

log = structlog.get_logger()

#: Gaps of a partition that are remembered until its first offset is asked for.
MOST_GAPS = 1000


@dataclass(slots=True)
class ReadPositions:
    """Next offset to read of each assigned partition, by the records that were read; used by the consumer alone."""

    _next: dict[Partition, int] = field(default_factory=dict)
    _gaps: dict[Partition, list[tuple[int, int]]] = field(default_factory=dict)

    def begin(self, committed: Mapping[Partition, int]) -> None:
        """Start from the committed offsets of the assigned partitions that have one."""
        self._next = dict(committed)
        self._gaps.clear()

    def misplaced(self, begins: Mapping[Partition, int], ends: Mapping[Partition, int]) -> list[Partition]:
        """Partitions whose next offset lies beyond the end of the log. Says so, and what was deleted unread."""
        found = []
        for partition, expected in self._next.items():
            begin, end = begins.get(partition, 0), ends.get(partition)
            if end is not None and expected > end:
                say_beyond_end(partition, expected, end, begin)
                found.append(partition)
            elif expected < begin:
                say_deleted(partition, begin - expected)
                self._next[partition] = begin
        return found

    def rewind(self, partition: Partition, offset: int) -> None:
        """The next record of the partition may be that of `offset`, or any later one."""
        self._next[partition] = offset
        self._gaps.pop(partition, None)

    def read(self, partition: Partition, offsets: Sequence[int]) -> bool:
        """Note records read, in order. False if the first of them lies before what was read already."""
        expected, first = self._next.get(partition), offsets[0]
        if expected is not None and first < expected:
            return False
        if expected is not None and first > expected:
            gaps = self._gaps.setdefault(partition, [])
            gaps.append((expected, first))
            del gaps[:-MOST_GAPS]
        self._next[partition] = offsets[-1] + 1
        return True

    @property
    def with_gaps(self) -> Iterable[Partition]:
        """Partitions of which some offsets were never seen: deleted, or markers of transactions."""
        return tuple(self._gaps)

    def settle(self, begins: Mapping[Partition, int]) -> None:
        """Count as deleted what is missing before the first offset of the log; forget the other gaps."""
        for partition, gaps in self._gaps.items():
            begin = begins.get(partition, 0)
            missing = sum(max(0, min(first, begin) - expected) for expected, first in gaps)
            if missing:
                say_deleted(partition, missing)
        self._gaps.clear()


def say_beyond_end(partition: Partition, expected: int, end: int | None, begin: int) -> None:
    topic, number = partition
    metrics.OFFSETS_BEYOND_END.labels(topic=topic).inc()
    log.error("offset_beyond_end", topic=topic, partition=number, offset=expected, end=end, read_from=begin)


def say_deleted(partition: Partition, records: int) -> None:
    topic, number = partition
    metrics.DELETED_UNREAD.labels(topic=topic).inc(records)
    log.error("records_deleted_unread", topic=topic, partition=number, records=records)


def by_name(by_tp: Mapping[Any, int | None]) -> dict[Partition, int]:
    """Offsets by topic and partition, without those that are unknown."""
    return {(tp.topic, tp.partition): offset for tp, offset in by_tp.items() if offset is not None}
