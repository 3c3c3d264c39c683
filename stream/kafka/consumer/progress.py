"""Progress of the consumer: which partitions a worker has, how far the client is in each, and what is left.

Faust tells little of this, so the client is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stream.kafka.consumer.acks import InOrderAcks
from stream.kafka.consumer.app import LivenessApp

#: The client's ways to say that a partition has no leader at the moment.
NO_LEADER = (None, -1)


class ConsumerProgress:
    """Progress of a consumer, asked by the worker for its health, each time anew. `joined` is set by the worker at the
    first assignment: before, the app has no consumer to ask."""

    def __init__(self, app: LivenessApp, acks: InOrderAcks, topics: Sequence[str]) -> None:
        self._app, self._acks, self._topics = app, acks, topics
        self.joined = False

    def assignment(self) -> frozenset[Any]:
        """Partitions this worker owns; empty while it has not joined, or is between two assignments."""
        if not self.joined:
            return frozenset()
        return frozenset(self._app.consumer.assignment())

    def missing_topics(self) -> tuple[str, ...]:
        """Topics of the agents that the broker has no partition of, once the worker has joined its group."""
        if not self.joined:
            return ()
        cluster = self._client()._client.cluster
        return tuple(topic for topic in self._topics if not cluster.partitions_for_topic(topic))

    def _client(self) -> Any:
        consumer: Any = self._app.consumer
        return consumer._thread._ensure_consumer()

    def lag(self) -> int:
        """Records in the assigned partitions that were not read or not committed yet, as far as is known.

        Offsets that no reader ever sees (the marker of a transaction, records deleted by retention) don't count. A
        partition shorter than what was read of it, deleted and made anew, counts until the watchdog ends the worker.
        """
        lag = 0
        for tp in self.assignment():
            position, high = self._position(tp)
            if position is not None and high is not None:
                lag += high - position if high >= position else 1
            lag += self._uncommitted(tp)
        return lag

    def has_unfetched(self) -> bool:
        """Whether some assigned partition with a leader was never fetched: what there is to read of it is unknown.
        Usual for a moment after an assignment; afterwards the client waits for something that doesn't come."""
        return any(
            None in self._position(tp) and self._client()._client.cluster.leader_for_partition(tp) not in NO_LEADER
            for tp in self.assignment()
        )

    def _uncommitted(self, tp: Any) -> int:
        """Records read and not committed. Faust keeps the offset of the record read last, but from a start or rebalance
        to the first record read, the offset of the next."""
        consumer: Any = self._app.consumer
        committed, read = consumer._committed_offset.get(tp), consumer._read_offset.get(tp)
        if committed is None or read is None:
            return 0
        return max(int(read) + self._acks.has_begun((tp.topic, tp.partition)) - int(committed), 0)

    def _position(self, tp: Any) -> tuple[int | None, int | None]:
        """Next offset to fetch, and the end of what may be read (the last stable offset); Faust tells neither."""
        subscription = self._client()._subscription.subscription
        assignment = None if subscription is None else subscription.assignment
        if assignment is None or tp not in assignment.tps:
            return None, None
        state = assignment.state_value(tp)
        if state is None or not state.has_valid_position:
            return None, None
        return int(state.position), state.highwater if state.lso is None else state.lso
