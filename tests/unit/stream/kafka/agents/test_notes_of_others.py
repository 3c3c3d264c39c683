"""Notes that are about other records, or that a store took while its caller had left: nobody is blamed for them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from config.errors import SettingsError
from stream.kafka.agents.caution import AHEAD, PartitionNote, next_note
from stream.kafka.consumer.acks import Partition
from stream.runtime.patience import DependencyTimeout
from tests.unit.stream.kafka.agent_scene import P0
from tests.unit.stream.kafka.agents.test_caution import Life, Store, lives
from tests.unit.stream.kafka.worker.test_orderly_ends import Noted, background_task_ended
from tests.unit.stream.runtime.virtual_time import on_virtual_time


@on_virtual_time
async def test_topic_made_anew_under_a_worker() -> None:
    """The record that has the offset of one that ended processes is another one: it is worked on as any other."""
    store = Store()
    store.notes[P0] = PartitionNote(first=0, covers=2, deaths={1: 1}, handed_over=True)
    life = await lives(store, 0)
    await life.finish_all()
    assert life.trial.tried == [1]
    life.hand_over(P0)
    life.caution.rewound([P0])
    await life.put(range(5))
    assert set(life.working) == {(0, offset) for offset in range(5)}
    assert life.trial.tried == [1]
    assert store.notes[P0] == PartitionNote(first=0, covers=AHEAD)


def test_suspects_of_two_ends() -> None:
    """A worker that ended before it came to the last suspects of the end before leaves them suspect."""
    left = PartitionNote(first=8, covers=8 + AHEAD, suspects=72)
    assert next_note(left, 8).suspects == 72


@on_virtual_time
async def test_partition_goes_during_the_first_note() -> None:
    """The store took the note of a worker that had let the partition go: an orderly end all the same."""

    class Slow(Store):
        async def put(self, notes: Mapping[Partition, PartitionNote]) -> None:
            await super().put(notes)
            await asyncio.sleep(0 if all(note.handed_over for note in notes.values()) else 60)

    store = Slow()
    for left, expected in (
        (None, {}),
        (
            PartitionNote(first=0, covers=AHEAD, alone=3),
            {P0: PartitionNote(first=0, covers=AHEAD, suspects=AHEAD, deaths={3: 1}, handed_over=True)},
        ),
    ):
        store.notes = {} if left is None else {P0: left}
        life = Life(store)
        await life.put(range(2))
        assert not store.notes[P0].handed_over
        life.hand_over(P0)
        await life.caution.hand_over([P0])
        assert store.notes == expected
        life._task.cancel()


@on_virtual_time
async def test_worker_ends_though_its_notes_can_not_go() -> None:
    class Refused(Noted):
        async def hand_over(self, *_: object) -> None:
            raise SettingsError("redis: the user may not run HDEL")

    working = await Refused().begin()
    await background_task_ended(working, DependencyTimeout("kafka"))
    assert working.left
    assert isinstance(working.worker._giving_up.exception(), SettingsError)
    working.scene._task.cancel()
