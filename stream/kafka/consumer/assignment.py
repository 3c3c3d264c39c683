"""Assignment of partitions to the workers of a group: even within each topic and over all, with few moved.

Faust's own assignor keeps what a worker has up to the rounded-up share: of 24 partitions six workers keep four each,
and a seventh gets none. Here every worker gets its rounded-down share first; what is left goes to the workers with the
fewest partitions of all topics. The group's leader makes the assignment; the protocol is Faust's, so that workers of
earlier releases take part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from faust.assignor.client_assignment import ClientAssignment
from faust.assignor.partition_assignor import PartitionAssignor

#: Partitions of one topic by member.
Shares = dict[str, list[int]]


def even_shares(partitions: Sequence[int], held: Mapping[str, Sequence[int]], loads: Mapping[str, int]) -> Shares:
    """Shares of one topic's partitions. `held`: what each member had, empty for a newcomer; `loads`: partitions that a
    member has of other topics. Members differ by one partition at most, and keep what they had up to their share."""
    least, more = divmod(len(partitions), len(held))
    fewest_first = sorted(held, key=lambda member: (loads[member], -len(held[member]), member))
    quota = {member: least + (place < more) for place, member in enumerate(fewest_first)}
    free, shares = set(partitions), Shares()
    for member in fewest_first:
        shares[member] = [each for each in sorted(set(held[member])) if each in free][: quota[member]]
        free.difference_update(shares[member])
    left = sorted(free)
    for member in fewest_first:
        wanted = quota[member] - len(shares[member])
        shares[member] += left[:wanted]
        del left[:wanted]
    return shares


class EvenAssignor(PartitionAssignor):
    """Assignor of an app without tables, called by the consumer of the group's leader at each rebalance."""

    def _perform_assignment(self, cluster: Any, member_metadata: Mapping[str, Any]) -> Any:
        told = {member: self._get_client_metadata(metadata) for member, metadata in member_metadata.items()}
        self._update_member_urls(told)
        topics = sorted({topic for metadata in member_metadata.values() for topic in metadata.subscription})
        loads = dict.fromkeys(member_metadata, 0)
        assignments = {member: ClientAssignment(actives={}, standbys={}) for member in member_metadata}
        for topic in topics:
            partitions = sorted(cluster.partitions_for_topic(topic) or ())
            held = {
                member: told[member].assignment.actives.get(topic, ())
                for member, metadata in member_metadata.items()
                if topic in metadata.subscription
            }
            for member, share in even_shares(partitions, held, loads).items():
                if share:
                    assignments[member].actives[topic] = share
                    loads[member] += len(share)
        groups = {topic: place for place, topic in enumerate(topics)}
        return self._protocol_assignments(assignments, {}, {}, groups)
