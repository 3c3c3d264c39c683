"""In-order acknowledgement: within a partition only the head of what is in flight may be committed.

Faust commits past an unfinished event once agents overlap, and a crash then loses the event. Here each partition keeps
a queue in offset order, and an offset is acknowledged only when everything before it is done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol


class AckableMessage(Protocol):
    """The part of a Faust message that the tracker needs."""

    topic: str
    partition: int
    offset: int
    generation_id: int | None


class AckableEvent(Protocol):
    @property
    def message(self) -> AckableMessage: ...

    def ack(self) -> bool: ...


Partition = tuple[str, int]


@dataclass(eq=False, slots=True)
class Ticket:
    """Event in flight, held strongly: Faust keeps only weak references to events."""

    event: AckableEvent = field(repr=False)
    done: bool = False
    #: The partition went to another worker, or may have: the event is read again.
    revoked: bool = False

    @property
    def partition(self) -> Partition:
        return (self.event.message.topic, self.event.message.partition)


class InOrderAcks:
    """Acknowledgements of all assigned partitions; used from one event loop, never blocks, never raises."""

    def __init__(self, current_generation: Callable[[], int]) -> None:
        self._current_generation = current_generation
        self._partitions: dict[Partition, deque[Ticket]] = {}

    def begin(self, event: AckableEvent) -> Ticket:
        """Register an event in the order it was read."""
        ticket = Ticket(event)
        self._partitions.setdefault(ticket.partition, deque()).append(ticket)
        return ticket

    def finish(self, ticket: Ticket) -> None:
        """Acknowledge an event whose outputs are confirmed, or remember to when its turn comes. May be repeated."""
        ticket.done = True
        queue = self._partitions.get(ticket.partition)
        while queue and queue[0].done:
            event = queue.popleft().event
            # After a rebalance another worker owns the offset; an acknowledgement would be for a lost partition.
            if event.message.generation_id == self._current_generation():
                event.ack()

    def revoke(self, partitions: Iterable[Partition]) -> None:
        """Forget partitions that were taken away; their unacknowledged events are read again by the next owner."""
        for partition in partitions:
            for ticket in self._partitions.pop(partition, ()):
                ticket.revoked = True

    def has_begun(self, partition: Partition) -> bool:
        """Whether any event of the partition was registered since the partition was assigned."""
        return partition in self._partitions

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """Partitions of which any event was registered."""
        return tuple(self._partitions)

    @property
    def in_flight(self) -> int:
        return sum(len(queue) for queue in self._partitions.values())

    def in_flight_of(self, topic: str) -> int:
        return sum(len(queue) for partition, queue in self._partitions.items() if partition[0] == topic)
