"""Caution: a record on which the process dies is found over two lives of workers, and tried in a process of its own.

A death leaves no exception to catch, and many records were in work. So a worker notes in the store up to which offset
of a partition records may be in work, and removes the note when it hands the partition over; a note that is still there
tells of an unclean end. What may have been in work at that end is suspect: its next owner works on each suspect alone,
and notes which. A record that was alone in work at an unclean end is accused, and judged by a trial
(`stream.kafka.agents.trial`): a worker that is killed from outside can't be told from one that died of its record, a
trial process can, since the worker outlives it.

Without unclean ends this costs two round trips for each assignment of a partition, and one for every `AHEAD` records.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import structlog

from config.errors import Unavailable
from stream.events.message.messages import Record
from stream.kafka.consumer.acks import Partition
from stream.runtime import metrics
from stream.runtime.patience import RetryPolicy

log = structlog.get_logger()

#: Records of a partition that a note covers before they come; as many are suspect after an unclean end, at least.
AHEAD = 32
#: Notes are changed at a hand-over within this time, or stay as they are and count as one unclean end.
HAND_OVER_WITHIN_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionNote:
    """Note of a partition: the first offset that its owner read, the offset below which records may be in work, the one
    below which they were in work at an unclean end, the offset in work alone, and how many unclean ends each such
    offset has seen. `handed_over` says that the owner ended in order and left suspects behind."""

    first: int
    covers: int
    suspects: int = 0
    alone: int | None = None
    deaths: Mapping[int, int] = field(default_factory=dict)
    handed_over: bool = False


def next_note(left: PartitionNote | None, first: int) -> PartitionNote:
    """Note of a new owner that reads from `first` on, after an owner that left a note behind, or none."""
    note = PartitionNote(first=first, covers=first + AHEAD)
    if left is None or first < left.first:  # handed over without suspects; or the partition was made anew
        return note
    deaths = {offset: seen for offset, seen in left.deaths.items() if offset >= first}
    if left.alone is not None and left.alone >= first:
        deaths[left.alone] = deaths.get(left.alone, 0) + 1
    suspects = left.suspects if left.handed_over else max(left.suspects, left.covers)
    return replace(note, suspects=suspects, deaths=deaths)


class PartitionNotes(Protocol):
    """The port: a note for each partition. Calls raise `config.errors.Unavailable`, and may be repeated."""

    async def find(self, partition: Partition) -> PartitionNote | None:
        """Note that an owner left; None after a hand-over without suspects."""

    async def put(self, notes: Mapping[Partition, PartitionNote]) -> None:
        """Keep notes in place of those before."""

    async def remove(self, partitions: Collection[Partition]) -> None:
        """Forget notes."""


@dataclass(slots=True)
class _Hold:
    """Hold of this worker on a partition: its note (which covers nothing before the one in the store was read), the
    offset below which the note in the store covers records, and the last suspect that is done. `anew`: what the store
    has is about other records."""

    note: PartitionNote = PartitionNote(first=0, covers=0)
    covered: int = -1
    done: int = -1
    anew: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def left(self) -> PartitionNote | None:
        """Note that stays after a hand-over: None if no record is suspect any more."""
        if self.note.deaths or self.done + 1 < self.note.suspects:
            return replace(self.note, alone=None, handed_over=True)
        return None


class Caution:
    """Caution of one worker, for all its agents: a suspect is alone in work, whatever the agent."""

    def __init__(self, notes: PartitionNotes, patience: RetryPolicy) -> None:
        self._notes, self._patience = notes, patience
        self._holds: dict[Partition, _Hold] = {}
        self._turn = asyncio.Lock()
        self._in_work = 0
        self._none_in_work = asyncio.Event()

    @asynccontextmanager
    async def around(self, record: Record) -> AsyncIterator[int]:
        """Context of the work on a record, with the number of unclean ends at which the record was alone in work: if
        any, the record is accused, and to be tried. Waits for the store at the first of `AHEAD` records of a partition,
        and while a suspect is in work."""
        partition = (record.topic, record.partition)
        hold = self._holds.setdefault(partition, _Hold())
        note = await self._covering(partition, hold, record.offset)
        deaths = note.deaths.get(record.offset, 0)
        if deaths or record.offset < note.suspects:
            # A record on trial is alone too: a suspect that ends the worker would end the trial.
            async with self._alone(), self._noted(partition, hold, record.offset):
                yield deaths
            return
        if self._turn.locked():
            async with self._turn:
                pass  # the suspect is done
        self._in_work += 1
        try:
            yield 0
        finally:
            self._in_work -= 1
            if not self._in_work:
                self._none_in_work.set()

    def rewound(self, partitions: Collection[Partition]) -> None:
        """Forget what was noted of partitions whose offsets mean other records now. Their work was dropped."""
        for partition in self._holds.keys() & set(partitions):
            self._holds[partition] = _Hold(anew=True)

    async def hand_over(self, partitions: Collection[Partition] | None = None) -> None:
        """Forget partitions (all, if None) whose work ended or was dropped, so that their notes tell of no death.
        Suspects that are not done stay noted for the next owner."""
        gone = {partition for partition in self._holds if partitions is None or partition in partitions}
        holds = {partition: self._holds.pop(partition) for partition in gone}
        left = {partition: hold.left() for partition, hold in holds.items() if hold.note.covers}
        kept = {partition: note for partition, note in left.items() if note is not None}
        try:
            async with asyncio.timeout(HAND_OVER_WITHIN_S):
                if kept:
                    await self._notes.put(kept)
                if forgotten := left.keys() - kept.keys():
                    await self._notes.remove(forgotten)
        except (Unavailable, TimeoutError):
            log.info("notes_left", partitions=len(left))

    async def _covering(self, partition: Partition, hold: _Hold, offset: int) -> PartitionNote:
        """Note of the partition, once the one in the store covers the offset."""
        if offset < hold.covered:
            return hold.note
        async with hold.lock:
            if hold.covered < 0:
                find = partial(self._notes.find, partition)
                left = None if hold.anew else await self._patience.until_available(find)
                hold.note = next_note(left, offset)
                _say_careful(partition, hold.note)
            if offset >= hold.covered:
                covers = offset + AHEAD
                hold.note = replace(hold.note, covers=covers)
                await self._patience.until_available(self._save, partition, hold)
                hold.covered = covers
            return hold.note

    async def _save(self, partition: Partition, hold: _Hold) -> None:
        if self._holds.get(partition) is hold:  # not handed over meanwhile
            await self._notes.put({partition: hold.note})

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Context in which no other record is in work; suspects take turns."""
        async with self._turn:
            while self._in_work:
                self._none_in_work.clear()
                await self._none_in_work.wait()
            with metrics.CAREFUL.track_inprogress():
                yield

    @asynccontextmanager
    async def _noted(self, partition: Partition, hold: _Hold, offset: int) -> AsyncIterator[None]:
        """Context in which the note names the record as alone in work."""
        hold.note = replace(hold.note, alone=offset)
        await self._patience.until_available(self._save, partition, hold)
        try:
            yield
            hold.done = max(hold.done, offset)
        finally:
            hold.note = replace(hold.note, alone=None)
            with suppress(Unavailable):
                await self._save(partition, hold)


def _say_careful(partition: Partition, note: PartitionNote) -> None:
    if not note.deaths and note.suspects <= note.first:
        return
    log.warning(
        "careful",
        topic=partition[0],
        partition=partition[1],
        offset=note.first,
        below=note.suspects,
        accused=sorted(note.deaths),
        why="a worker ended without a word while it worked here: one record at a time now",
    )
