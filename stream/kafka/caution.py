"""Caution: a record on which the process dies is found over several lives of workers, and set aside.

A death leaves no exception to catch, and many records were in work. So a worker notes in the store where it began to
read a partition, and removes the note when it hands the partition over; a note that is still there tells of an unclean
end. After `UNMOVED` unclean ends at one place a worker is careful: it works on one record at a time, and notes which.
A record that was alone in work at `DEATHS` unclean ends is the cause. No other record is blamed: a worker killed with
many records in work blames none of them, and one killed while careful blames the one in work, which a second end must
confirm.

Without unclean ends this costs two round trips for each assignment of a partition, and none for a record.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import structlog

from config.errors import Unavailable
from stream.events.messages import Record
from stream.kafka.acks import Partition
from stream.runtime import metrics
from stream.runtime.patience import RetryPolicy

log = structlog.get_logger()

#: Unclean ends in a row with nothing committed in between, after which a worker is careful.
UNMOVED = 2
#: Unclean ends with one record alone in work, after which the record is set aside.
DEATHS = 2
#: A worker is careful for so long: what was in work at a death is the first that it reads, and copies of it follow.
CAREFUL_S = 120.0
#: Notes are removed at a hand-over within this time, or stay and count as one unclean end.
FORGET_WITHIN_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionNote:
    """Note of a partition: the first offset that its owner read, how often owners ended there uncleanly, the offset in
    work alone, and how many ends each such offset has seen."""

    first: int
    unmoved: int = 0
    alone: int | None = None
    deaths: dict[int, int] = field(default_factory=dict)

    @property
    def suspicious(self) -> bool:
        return self.unmoved >= UNMOVED or bool(self.deaths)


def next_note(left: PartitionNote | None, first: int) -> PartitionNote:
    """Note of a new owner that reads from `first` on, after an owner that left a note behind, or none."""
    if left is None or first < left.first:  # handed over cleanly; or the partition was made anew
        return PartitionNote(first=first)
    deaths = {offset: seen for offset, seen in left.deaths.items() if offset >= first}
    if left.alone is not None and left.alone >= first:
        deaths[left.alone] = deaths.get(left.alone, 0) + 1
    return PartitionNote(first=first, unmoved=left.unmoved + 1 if first == left.first else 0, deaths=deaths)


class PartitionNotes(Protocol):
    """The port: a note for each partition. Calls raise `config.errors.Unavailable`, and may be repeated."""

    async def find(self, partition: Partition) -> PartitionNote | None:
        """Note that an owner left; None after a clean hand-over."""

    async def put(self, partition: Partition, note: PartitionNote) -> None:
        """Keep a note in place of the one before."""

    async def remove(self, partitions: Collection[Partition]) -> None:
        """Forget notes, at a clean hand-over."""


class Caution:
    """Caution of one worker, for all its agents: a careful worker has one record in work, whatever the agent."""

    def __init__(self, notes: PartitionNotes, patience: RetryPolicy) -> None:
        self._notes, self._patience = notes, patience
        self._owned: dict[Partition, asyncio.Task[PartitionNote]] = {}
        self._turn = asyncio.Lock()
        self._in_work = 0
        self._none_in_work = asyncio.Event()
        self._careful_until = 0.0

    @asynccontextmanager
    async def around(self, record: Record) -> AsyncIterator[int]:
        """Context of the work on a record, with the number of deaths that the record has seen alone. Waits for the
        store at the first record of a partition, and for other records while the worker is careful."""
        partition = (record.topic, record.partition)
        if partition not in self._owned:
            self._owned[partition] = asyncio.create_task(self._own(partition, record.offset))
        owned = self._owned[partition]
        note = owned.result() if owned.done() else await asyncio.shield(owned)
        deaths = note.deaths.get(record.offset, 0)
        if await self._is_alone(deaths):
            try:
                await self._put(partition, replace(note, alone=record.offset))
                yield deaths
                if deaths < DEATHS:
                    note.deaths.pop(record.offset, None)  # done, and the process lives
            finally:
                try:
                    if self._owned.get(partition) is owned:
                        with suppress(Unavailable):
                            await self._notes.put(partition, note)
                finally:
                    self._turn.release()
            return
        self._in_work += 1
        try:
            yield deaths
        finally:
            self._in_work -= 1
            if not self._in_work:
                self._none_in_work.set()

    async def hand_over(self, partitions: Collection[Partition] | None = None) -> None:
        """Forget partitions (all, if None) whose work ended or was dropped, so that their notes tell of no death."""
        gone = {partition for partition in self._owned if partitions is None or partition in partitions}
        for partition in gone:
            del self._owned[partition]
        if not gone:
            return
        try:
            async with asyncio.timeout(FORGET_WITHIN_S):
                await self._notes.remove(gone)
        except (Unavailable, TimeoutError):
            log.info("notes_left", partitions=len(gone))

    @property
    def _careful(self) -> bool:
        careful = asyncio.get_running_loop().time() < self._careful_until
        metrics.CAREFUL.set(careful)
        return careful

    async def _is_alone(self, deaths: int) -> bool:
        """Whether the record is the only one in work, and has the turn; False where the worker needs no care."""
        if not deaths and not self._careful and not self._turn.locked():
            return False
        await self._turn.acquire()
        try:
            while (deaths or self._careful) and self._in_work:
                self._none_in_work.clear()
                await self._none_in_work.wait()
        except BaseException:
            self._turn.release()
            raise
        if deaths or self._careful:
            return True
        self._turn.release()
        return False

    async def _own(self, partition: Partition, first: int) -> PartitionNote:
        note = next_note(await self._patience.until_available(partial(self._notes.find, partition)), first)
        if self._owned.get(partition) is not asyncio.current_task():  # handed over meanwhile
            return note
        await self._put(partition, note)
        if note.suspicious:
            self._careful_until = asyncio.get_running_loop().time() + CAREFUL_S
            log.warning(
                "careful",
                topic=partition[0],
                partition=partition[1],
                offset=first,
                unclean_ends=note.unmoved,
                suspects=sorted(note.deaths),
                why="workers ended without a word while they worked here: one record at a time now",
            )
        return note

    async def _put(self, partition: Partition, note: PartitionNote) -> None:
        await self._patience.until_available(partial(self._notes.put, partition, note))
