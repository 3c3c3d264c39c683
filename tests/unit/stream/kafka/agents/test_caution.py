"""Records on which the process dies: who is blamed after which ends, and what the care costs."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from config.errors import Unavailable
from stream.events.message.messages import Output, Record
from stream.kafka.agents.agents import MOST_ENDS, STAGE_ENDED, EndedOnRecord
from stream.kafka.agents.caution import AHEAD, Caution, PartitionNote, next_note
from stream.kafka.consumer.acks import Partition
from stream.runtime.patience import DependencyTimeout, RetryPolicy
from tests.unit.stream.kafka.agent_scene import P0, P1, Scene
from tests.unit.stream.runtime.virtual_time import on_virtual_time


def note(first: int, covers: int, **changes: Any) -> PartitionNote:
    return PartitionNote(first=first, covers=covers, **changes)


#: Note left behind, first offset of the next owner, its note.
NOTES = {
    "handed over": (None, 7, note(7, 39)),
    "died": (note(7, 39), 8, note(8, 40, suspects=39)),
    "died alone": (note(7, 39, suspects=20, alone=9), 8, note(8, 40, suspects=39, deaths={9: 1})),
    "again alone": (note(8, 40, alone=9, deaths={9: 1}), 9, note(9, 41, suspects=40, deaths={9: 2})),
    "another alone": (note(8, 40, alone=8, deaths={9: 1}), 9, note(9, 41, suspects=40, deaths={9: 1})),
    "alone and done": (note(7, 39, suspects=20, alone=7), 8, note(8, 40, suspects=39)),
    "handed over with suspects": (
        note(7, 39, suspects=20, deaths={9: 1}, handed_over=True),
        8,
        note(8, 40, suspects=20, deaths={9: 1}),
    ),
    "made anew": (note(7, 39, alone=9, deaths={9: 1}), 0, note(0, 32)),
}


@pytest.mark.parametrize(("left", "first", "expected"), NOTES.values(), ids=NOTES)
def test_next_note(left, first, expected):
    assert next_note(left, first) == expected


class Store:
    """Notes in memory; `trips` counts calls."""

    def __init__(self) -> None:
        self.notes: dict[Partition, PartitionNote] = {}
        self.trips, self.away = 0, False

    async def find(self, partition: Partition) -> PartitionNote | None:
        await self._trip()
        return self.notes.get(partition)

    async def put(self, notes: Mapping[Partition, PartitionNote]) -> None:
        await self._trip()
        self.notes.update(notes)

    async def remove(self, partitions: Collection[Partition]) -> None:
        await self._trip()
        for partition in partitions:
            self.notes.pop(partition, None)

    async def _trip(self) -> None:
        await asyncio.sleep(0.001)
        self.trips += 1
        if self.away:
            raise Unavailable("redis", "Away")


class Tried:
    """Stage of a trial process, which ends on the offsets in `ends_on`, and on answers of those in `mute`."""

    def __init__(self, ends_on: Collection[int], mute: Collection[int]) -> None:
        self.ends_on, self.mute = ends_on, mute
        self.tried: list[int] = []
        self.answered: list[int] = []

    async def handle(self, record: Record) -> list[Output]:
        self.tried.append(record.offset)
        if record.offset in self.ends_on:
            raise EndedOnRecord("code 77")
        return []

    async def answer(self, record: Record) -> list[Output]:
        if record.offset in self.mute:
            raise EndedOnRecord("code 77")
        self.answered.append(record.offset)
        return []


class Life(Scene):
    """Life of a worker over the store; its death leaves everything as it is."""

    def __init__(self, store: Store, ends_on: Collection[int] = (), mute: Collection[int] = ()) -> None:
        self.store, self.caution = store, Caution(store, RetryPolicy())
        self.trial = Tried(ends_on, mute)
        self.answered: list[int] = []
        super().__init__(self.caution, self.trial)

    async def answer(self, record: Record) -> list[Output]:
        self.answered.append(record.offset)
        return []

    async def die(self) -> None:
        """Death: nothing more reaches the store."""
        self.caution._notes = Store()
        self.caution._holds = {}
        self._task.cancel()
        self.runner.drop()
        await asyncio.sleep(0.1)

    async def finish_all(self) -> None:
        while self.working:
            for partition, offset in list(self.working):
                await self.end(offset, partition=partition)


async def lives(store: Store, number: int, ends_on: Collection[int] = ()) -> Life:
    """So many lives that end with five records at hand; the next one, with these records."""
    for _ in range(number):
        life = Life(store)
        await life.put(range(5))
        await life.die()
    life = Life(store, ends_on)
    await life.put(range(5))
    return life


@on_virtual_time
async def test_cost_without_deaths() -> None:
    """Two round trips for a partition, and one for every `AHEAD` records."""
    life = await lives(store := Store(), 0)
    assert (len(life.working), store.trips) == (5, 2)
    await life.finish_all()
    await life.put(range(5, 3 * AHEAD))
    await life.finish_all()
    assert (len(life.acked[0]), store.trips) == (3 * AHEAD, 4)
    await life.caution.hand_over([P1])
    assert (store.trips, list(store.notes)) == (4, [P0])
    await life.caution.hand_over()
    assert store.notes == {}


async def after_two_ends(store: Store) -> Life:
    """Offset 2 ends two lives: once with others in work, once alone. All before it are done."""
    for number in range(2):
        life = await lives(store, 0)
        assert len(life.working) == (1 if number else 5), "suspects: one at a time"
        if number:
            await life.end(0)
            await life.end(1)
            assert set(life.working) == {(0, 2)}
        assert not life.sent
        await life.die()
    life = await lives(store, 0, ends_on=[2])
    await life.finish_all()
    return life


@on_virtual_time
async def test_poison_is_found() -> None:
    """The worker's own stage never gets the record again."""
    life = await after_two_ends(Store())
    assert life.acked[0] == [0, 1, 2, 3, 4]
    assert (0, 2) not in life.begun
    assert (life.trial.tried, life.trial.answered) == ([2], [2])
    assert [dict(letter.headers)["reason"] for letter in life.sent] == [STAGE_ENDED.encode()]


@on_virtual_time
async def test_trial_of_one_record() -> None:
    """Result of an accused record's trial; the records beside are worked on as any other."""
    for ends_on, mute, answered, letters in (((), (), [], 0), ((1,), (), [1], 1), ((1,), (1,), [], 1)):
        store = Store()
        store.notes[P0] = PartitionNote(first=0, covers=AHEAD, alone=1)
        life = Life(store, ends_on, mute)
        await life.put(range(3))
        await life.finish_all()
        assert (life.trial.tried, life.trial.answered, len(life.sent)) == ([1], answered, letters)
        assert (life.acked[0], (0, 1) in life.begun) == ([0, 1, 2], False)


@on_virtual_time
async def test_workers_that_end_with_their_trials() -> None:
    """As often as `MOST_ENDS`; then the record is set aside, and at one end more without an answer."""
    store = Store()
    store.notes[P0] = PartitionNote(first=0, covers=AHEAD, alone=0)
    for ends in range(1, MOST_ENDS):
        life = await lives(store, 0)
        assert (store.notes[P0].deaths, store.notes[P0].alone) == ({0: ends}, 1)
        store.notes[P0] = replace(store.notes[P0], alone=0)
        await life.die()
    for answered in ([0], []):
        life = await lives(store, 0)
        assert (life.trial.tried, life.answered, len(life.sent)) == ([], answered, 1)
        store.notes[P0] = replace(store.notes[P0], alone=0)
        await life.die()


@on_virtual_time
async def test_poison_is_found_while_members_come_and_go() -> None:
    """After each death the partition changes hands once more, in order, before the poison is read."""
    store = Store()
    for _ in range(2):
        life = await lives(store, 0)
        await life.die()
        between = await lives(store, 0)
        between.hand_over(P0)
        await asyncio.sleep(1)
        await between.caution.hand_over([P0])
        assert store.notes[P0].handed_over
    life = await lives(store, 0, ends_on=[0])
    await life.finish_all()
    assert (life.trial.answered, (0, 0) in life.begun) == ([0], False)


@on_virtual_time
async def test_kills_blame_nobody() -> None:
    """Kills of one careful worker after another, also twice at the same record: each accused record is tried, found
    sound, and done."""
    store = Store()
    await (await lives(store, 1)).die()
    for done in (0, 2, 2, 1, 4, 0):
        life = await lives(store, 0)
        for _ in range(min(done, len(life.working))):
            await life.end(*(offset for _, offset in life.working))
        await life.die()
        assert not life.sent
    life = await lives(store, 0)
    await life.finish_all()
    assert (life.sent, life.acked[0]) == ([], [0, 1, 2, 3, 4])
    assert len(life.trial.tried) > 1


@on_virtual_time
async def test_alone_among_all_partitions() -> None:
    """A suspect is alone among all records of the worker; those after the suspects are worked on at once."""
    store = Store()
    store.notes[P0] = PartitionNote(first=0, covers=2)
    life = Life(store)
    await life.put(range(2), partition=1)
    await life.put(range(2))
    assert set(life.working) == {(1, 0), (1, 1)}, "those that were in work end first"
    await life.end(0, 1, partition=1)
    assert set(life.working) == {(0, 0)}
    assert (store.notes[P0].alone, store.notes[P1].alone) == (0, None)
    await life.put(range(2, 3), partition=1)
    await life.end(0)
    assert len(life.working) == 1
    await life.finish_all()
    await life.put(range(2, 9))
    assert len(life.working) == 7, "careful no longer"


@on_virtual_time
async def test_orderly_ends_are_no_deaths() -> None:
    """Work that raises, is dropped or handed over: the record is not noted as in work any more."""
    store = Store()
    life = await lives(store, 1)
    assert store.notes[P0].alone == 0
    life.working[(0, 0)].set_exception(DependencyTimeout("kafka"))
    await asyncio.sleep(1)
    assert len(life.failures) == 1
    assert store.notes[P0].alone == 1
    life.hand_over(P0)
    await asyncio.sleep(1)
    assert store.notes[P0].alone is None
    await life.caution.hand_over([P0])
    left = next_note(store.notes[P0], 0)
    assert (left.suspects, left.deaths) == (AHEAD, {}), "nobody is blamed; what is not done stays suspect"


@on_virtual_time
async def test_store_away() -> None:
    """The first record waits; a hand-over doesn't, and an owner of before writes no note afterwards."""
    store = Store()
    store.away = True
    life = Life(store)
    await life.put(range(2))
    assert not life.working
    life.hand_over(P0)
    async with asyncio.timeout(10):
        await life.caution.hand_over([P0])
    store.away = False
    await asyncio.sleep(10)
    assert (store.notes, life.failures) == ({}, [])
    with suppress(asyncio.CancelledError):
        life._task.cancel()
