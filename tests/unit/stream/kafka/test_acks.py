"""In-order acknowledgement: events finish in any order, and no unfinished one is ever committed past."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from stream.kafka.acks import InOrderAcks, Ticket


@dataclass
class Message:
    topic: str
    partition: int
    offset: int
    generation_id: int | None


@dataclass(eq=False)
class Event:
    message: Message
    acked: list[int] = field(repr=False)

    def ack(self) -> bool:
        self.acked.append(self.message.offset)
        return True


class Consumer:
    """A reader of one topic: hands out events in offset order and remembers what was acknowledged."""

    def __init__(self) -> None:
        self.generation = 1
        self.acked: dict[int, list[int]] = {}
        self.acks = InOrderAcks(lambda: self.generation)

    def event(self, partition: int, offset: int) -> Event:
        log = self.acked.setdefault(partition, [])
        return Event(Message("t", partition, offset, self.generation), log)

    def begin(self, offset: int, partition: int = 0):
        return self.acks.begin(self.event(partition, offset))


#: Steps -> what is acknowledged of partition 0. `b3` begins offset 3, `f3` finishes it, `-` revokes the partition,
#: `+` begins the next generation; a later `f` of an offset finishes the ticket begun last, `F` the one begun first.
STORIES = {
    "in order": ("b0 f0 b1 f1", [0, 1]),
    "behind an unfinished": ("b0 b1 b2 f2 f1", []),
    "the head frees all": ("b0 b1 b2 f2 f1 f0", [0, 1, 2]),
    "finished twice": ("b0 f0 f0", [0]),
    "revoked": ("b0 b1 - f0 f1", []),
    "comes back": ("b0 - + b0 b1 f1 F0", []),
    "comes back and finishes": ("b0 - + b0 b1 f1 F0 f0", [0, 1]),
    "earlier generation": ("b0 + b1 f1 f0", [1]),
}


@pytest.mark.parametrize(("steps", "acknowledged"), STORIES.values(), ids=STORIES)
def test_acknowledged_in_order(steps: str, acknowledged: list[int]) -> None:
    consumer, tickets = Consumer(), dict[str, list[Ticket]]()
    for step, offset in ((each[0], each[1:]) for each in steps.split()):
        if step == "b":
            tickets.setdefault(offset, []).append(consumer.begin(int(offset)))
        elif step in "fF":
            consumer.acks.finish(tickets[offset][-1 if step == "f" else 0])
        elif step == "-":
            consumer.acks.revoke([("t", 0), ("t", 7)])
            assert consumer.acks.in_flight == 0
        else:
            consumer.generation += 1
    assert consumer.acked[0] == acknowledged


def test_partition_begun_until_revoked() -> None:
    consumer = Consumer()
    assert not consumer.acks.has_begun(("t", 0))
    consumer.acks.finish(consumer.begin(7))
    assert consumer.acks.has_begun(("t", 0))
    assert not consumer.acks.has_begun(("t", 1))
    consumer.acks.revoke([("t", 0)])
    assert not consumer.acks.has_begun(("t", 0))


def test_partitions_are_independent() -> None:
    consumer = Consumer()
    consumer.begin(0, partition=0)
    consumer.acks.finish(consumer.begin(0, partition=1))
    assert consumer.acked == {0: [], 1: [0]}
    assert consumer.acks.in_flight == 1


class Rebalancing(RuleBasedStateMachine):
    """Events begin in order, finish in any order; partitions go and come back; generations pass.

    The model: per partition, the offsets begun since it was last assigned, and which of them are finished.
    """

    tickets = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.consumer = Consumer()
        self.begun: dict[int, list[tuple[int, int]]] = {}
        self.finished: set[tuple[int, int, int]] = set()
        self.epoch: dict[int, int] = {}
        self.next_offset: dict[int, int] = {}

    @rule(target=tickets, partition=st.integers(0, 2), count=st.integers(1, 4))
    def begin(self, partition: int, count: int):
        made = []
        for _ in range(count):
            offset = self.next_offset.get(partition, 0)
            self.next_offset[partition] = offset + 1
            generation = self.consumer.generation
            self.begun.setdefault(partition, []).append((offset, generation))
            ticket = self.consumer.begin(offset, partition)
            made.append((ticket, partition, self.epoch.get(partition, 0), offset))
        return multiple(*made)

    @rule(taken=consumes(tickets), twice=st.booleans())
    def finish(self, taken, twice: bool) -> None:
        ticket, partition, epoch, offset = taken
        before = list(self.consumer.acked[partition])
        self.consumer.acks.finish(ticket)
        self.finished.add((partition, epoch, offset))
        if twice:
            self.consumer.acks.finish(ticket)
        self._check_acks(partition, before)

    @rule(partitions=st.sets(st.integers(0, 2)))
    def revoke(self, partitions: set[int]) -> None:
        self.consumer.acks.revoke(("t", partition) for partition in partitions)
        for partition in partitions:
            self.epoch[partition] = self.epoch.get(partition, 0) + 1
            self.begun[partition] = []
            # what was not acknowledged is read again
            acked = self.consumer.acked.get(partition, [])
            self.next_offset[partition] = max(acked, default=-1) + 1

    @rule()
    def rebalance(self) -> None:
        self.consumer.generation += 1

    def _finished_head(self, partition: int) -> list[tuple[int, int]]:
        head = []
        for offset, generation in self.begun.get(partition, []):
            if (partition, self.epoch.get(partition, 0), offset) not in self.finished:
                break
            head.append((offset, generation))
        return head

    def _check_acks(self, partition: int, before: list[int]) -> None:
        new = self.consumer.acked[partition][len(before) :]
        head = self._finished_head(partition)
        current = [offset for offset, generation in head if generation == self.consumer.generation]
        assert new == [offset for offset in current if offset not in before]

    @invariant()
    def nothing_unfinished_lies_before_an_acknowledged_one(self) -> None:
        for partition, events in self.begun.items():
            epoch = self.epoch.get(partition, 0)
            open_offsets = [o for o, _ in events if (partition, epoch, o) not in self.finished]
            acked = self.consumer.acked.get(partition, [])
            here = [offset for offset in acked if any(offset == o for o, _ in events)]
            assert not open_offsets or all(offset < min(open_offsets) for offset in here)

    @invariant()
    def in_flight_is_what_is_not_behind_the_head(self) -> None:
        held = sum(len(events) - len(self._finished_head(p)) for p, events in self.begun.items())
        assert self.consumer.acks.in_flight == held


TestRebalancing = Rebalancing.TestCase
TestRebalancing.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
