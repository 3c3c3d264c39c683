"""Shares of partitions: each partition once, even over the workers of any number, and few moved."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Settings
from stream.kafka.consumer.app import make_app
from stream.kafka.consumer.assignment import EvenAssignor, even_shares

TOPICS = ("commands", "detections", "submissions")


def assigned(shares):
    return sorted(each for share in shares.values() for each in share)


@given(
    st.integers(0, 40),
    st.lists(st.lists(st.integers(0, 45), max_size=12), min_size=1, max_size=9),
    st.lists(st.integers(0, 30), min_size=9, max_size=9),
)
def test_each_once_and_even(partitions, held, loads):
    """Members may claim partitions that are gone, that others claim too, or more than a share."""
    members = {f"m{number}": each for number, each in enumerate(held)}
    shares = even_shares(range(partitions), members, {member: loads[int(member[1:])] for member in members})
    assert assigned(shares) == list(range(partitions))
    sizes = [len(share) for share in shares.values()]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("workers", range(1, 24))
def test_newcomer_gets_a_share(workers):
    """Workers come one after the other: nobody is left without, and only what the newcomer gets has moved."""
    held = even_shares(range(24), {f"w{n}": () for n in range(workers)}, dict.fromkeys(map("w{}".format, range(25)), 0))
    more = {**held, "new": ()}
    shares = even_shares(range(24), more, dict.fromkeys(more, 0))
    assert len(shares["new"]) == 24 // (workers + 1)
    moved = sum(len(set(share) - set(held.get(member, ()))) for member, share in shares.items() if member != "new")
    assert moved == 0


def test_share_of_one_that_left():
    held = {"a": [0, 1], "b": [2, 3]}
    assert even_shares(range(6), held, {"a": 0, "b": 0}) == {"a": [0, 1, 4], "b": [2, 3, 5]}


def test_what_is_over_goes_where_little_is():
    shares = even_shares(range(3), {"a": (), "b": ()}, {"a": 2, "b": 1})
    assert [len(shares[member]) for member in ("a", "b")] == [1, 2]


class Group:
    """Members of a group, and the cluster that their leader sees."""

    def __init__(self, partitions: int) -> None:
        self.assignor = EvenAssignor(make_app(Settings()))
        self.cluster = SimpleNamespace(partitions_for_topic=lambda topic: set(range(partitions)))
        self.members: dict[str, EvenAssignor] = {}

    def join(self, member: str) -> None:
        self.members[member] = EvenAssignor(make_app(Settings()))

    def rebalance(self) -> dict[str, int]:
        """Partitions of each member, over all topics; each member has taken its assignment."""
        told = {member: each.metadata(set(TOPICS)) for member, each in self.members.items()}
        found = self.assignor.assign(self.cluster, told)
        for member, each in self.members.items():
            each.on_assignment(found[member])
        counted = {member: len(each.assigned_actives()) for member, each in self.members.items()}
        assert len({tp for each in self.members.values() for tp in each.assigned_actives()}) == sum(counted.values())
        return counted


@pytest.mark.parametrize(("partitions", "shares"), [(24, [10, 10, 10, 10, 10, 11, 11]), (4, [4, 4, 4])])
def test_newest_member_has_as_much(partitions, shares):
    group = Group(partitions)
    for number in range(len(shares)):
        group.join(f"w{number}")
        counted = group.rebalance()
    assert sorted(counted.values()) == shares
