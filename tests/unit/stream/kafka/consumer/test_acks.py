"""In-order acknowledgement: events finish in any order, and no unfinished one is ever committed past."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from stream.kafka.consumer.acks import InOrderAcks, Ticket
from tests.unit.stream.kafka.agent_scene import TOPIC, Event


class Consumer:
    """A reader of one topic: hands out events in offset order and remembers what was acknowledged."""

    def __init__(self) -> None:
        self.generation = 1
        self.acked: dict[int, list[int]] = {}
        self.acks = InOrderAcks(lambda: self.generation)

    def begin(self, offset: int, partition: int = 0) -> Ticket:
        return self.acks.begin(Event(self.acked.setdefault(partition, []), partition, offset, self.generation))


def test_late_finish_after_a_return() -> None:
    """The ticket of before the revocation neither acknowledges nor lets anything pass."""
    consumer = Consumer()
    lost = consumer.begin(0)
    consumer.acks.revoke([(TOPIC, 0), (TOPIC, 7)])
    consumer.generation += 1
    again, behind = consumer.begin(0), consumer.begin(1)
    consumer.acks.finish(behind)
    consumer.acks.finish(lost)
    assert consumer.acked[0] == []
    consumer.acks.finish(again)
    assert consumer.acked[0] == [0, 1]


def test_partition_begun_until_revoked() -> None:
    consumer = Consumer()
    assert not consumer.acks.has_begun((TOPIC, 0))
    consumer.acks.finish(consumer.begin(7))
    assert consumer.acks.has_begun((TOPIC, 0))
    assert not consumer.acks.has_begun((TOPIC, 1))
    consumer.acks.revoke([(TOPIC, 0)])
    assert not consumer.acks.has_begun((TOPIC, 0))


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
            self.begun.setdefault(partition, []).append((offset, self.consumer.generation))
            made.append((self.consumer.begin(offset, partition), partition, self.epoch.get(partition, 0), offset))
        return multiple(*made)

    @rule(taken=consumes(tickets), twice=st.booleans())
    def finish(self, taken, twice: bool) -> None:
        ticket, partition, epoch, offset = taken
        before = list(self.consumer.acked[partition])
        self.consumer.acks.finish(ticket)
        self.finished.add((partition, epoch, offset))
        if twice:
            self.consumer.acks.finish(ticket)
        head = self._finished_head(partition)
        current = [offset for offset, generation in head if generation == self.consumer.generation]
        assert self.consumer.acked[partition][len(before) :] == [offset for offset in current if offset not in before]

    @rule(partitions=st.sets(st.integers(0, 2)))
    def revoke(self, partitions: set[int]) -> None:
        self.consumer.acks.revoke((TOPIC, partition) for partition in partitions)
        for partition in partitions:
            self.epoch[partition] = self.epoch.get(partition, 0) + 1
            self.begun[partition] = []
            # what was not acknowledged is read again
            self.next_offset[partition] = max(self.consumer.acked.get(partition, []), default=-1) + 1

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

    @invariant()
    def nothing_unfinished_lies_before_an_acknowledged_one(self) -> None:
        for partition, events in self.begun.items():
            begun, epoch = [offset for offset, _ in events], self.epoch.get(partition, 0)
            unfinished = [offset for offset in begun if (partition, epoch, offset) not in self.finished]
            here = [offset for offset in self.consumer.acked.get(partition, []) if offset in begun]
            assert not unfinished or all(offset < min(unfinished) for offset in here)

    @invariant()
    def in_flight_is_what_is_not_behind_the_head(self) -> None:
        held = sum(len(events) - len(self._finished_head(p)) for p, events in self.begun.items())
        assert self.consumer.acks.in_flight == held


TestRebalancing = Rebalancing.TestCase
TestRebalancing.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
