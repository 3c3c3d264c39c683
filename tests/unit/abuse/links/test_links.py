"""Links as lines, and clusters: over chains and cycles, by kind, without cleared submissions, within bounds."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abuse.flags.flags import FlagKind
from abuse.links.link_store import InMemoryLinkStore, cluster_around
from abuse.links.links import (
    LINKING,
    MEDIA,
    MOST_MEMBERS,
    MOST_STEPS,
    NO_CLUSTER,
    Cluster,
    Link,
    LinkKind,
    best_per_pair,
    cluster_of,
    in_order,
    is_about,
    line_of,
    link_from,
    links_from,
)
from abuse.submission_ref import SubmissionRef

TENANT = "acme"

ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
ends = st.builds(
    SubmissionRef, at_ms=st.integers(0, 2**53), submission_id=ids, correlation_id=ids, session_id=st.none() | ids
)
figures = st.floats(0, 1e6)
links = st.builds(
    Link,
    kind=st.sampled_from(LinkKind),
    earlier=ends,
    later=ends,
    distance=figures,
    threshold=figures,
    gallery=st.integers(0, 2**53),
    expected=figures,
)


@given(made=links, other=ids)
def test_line_holds_the_whole_link(made, other):
    line = line_of(made)
    read = link_from(line)
    assert (read.kind, read.refs, read.gallery, read.name) == (made.kind, made.refs, made.gallery, made.name)
    assert (read.distance, read.threshold) == pytest.approx((made.distance, made.threshold), abs=5e-5)
    assert read.expected == pytest.approx(made.expected, rel=5e-3)
    assert line_of(read) == line, "what was rounded once stays"
    assert all(is_about(line, name) for name in made.ids)
    assert is_about(line, other) == (other in made.ids)


@given(one=ends, other=ends)
def test_submissions_are_put_in_order(one, other):
    for given_ends in ((one, other), (other, one)):
        assert [end.key for end in in_order(*given_ends)] == sorted([one.key, other.key])


END = '[2,"s","c",null,false]'


@pytest.mark.parametrize(
    "line",
    [
        *("", "whatever", "{}", "[]", "7", "null", '["face"]', f'["love",{END},{END},0,0,0,0]'),
        *(f'["face",[1,"s","c"],{END},0,0,0,0]', f'["face",7,{END},0,0,0,0]', f'["face",{END},{END},0,0,0]'),
    ],
)
def test_foreign_line_is_refused(line):
    link_from(f'["face",{END},{END},0,0,0,0]')
    with pytest.raises((ValueError, TypeError, KeyError)):
        link_from(line)


def link(one: object, other: object, at_s: float = 1.0, kind: LinkKind = LinkKind.FACE, since_s: float = 0.0) -> Link:
    """A link between the first submission of one id, at `since_s`, and a later submission of the other."""
    earlier, later = (
        SubmissionRef(at_ms=round(at * 1000), submission_id=f"{name}-{at:g}", correlation_id=str(name))
        for name, at in ((one, since_s), (other, at_s))
    )
    return Link(kind=kind, earlier=earlier, later=later)


def chain(length: int) -> list[Link]:
    """Correlation ids 0 to `length`, each linked to the next."""
    return [link(one, other, at_s=other, since_s=one) for one, other in pairwise(range(length + 1))]


#: Three ids, each linked to both others.
CYCLE = [link(0, 1, 1), link(1, 2, 2, since_s=1), link(0, 2, 2)]


def names(cluster: Cluster) -> str:
    """Members with names of one letter."""
    return "".join(sorted(cluster.ids))


def test_repeated_lines_are_one_link():
    made = [link("a", "b", 3), link("a", "c", 1), link("b", "c", 2)]
    grown = [replace(each, gallery=5) for each in made]
    read = links_from([line_of(each) for each in (*made, *grown, *made)])
    assert [each.name for each in read] == [each.name for each in (made[1], made[2], made[0])]
    assert links_from(line_of(each) for each in (*grown, *made)[::-1]) == read, "whatever was told first"
    assert [each.gallery for each in read] == [0] * 3, "the line that sorts first, in every worker"


def test_no_links_no_cluster():
    assert cluster_of("a", []) == cluster_of("a", [link("b", "c")]) == NO_CLUSTER
    assert (NO_CLUSTER.ids, NO_CLUSTER.refs, NO_CLUSTER.whole) == ((), (), True)


@pytest.mark.parametrize("of", [0, 3, 6])
def test_chain_is_one_cluster(of):
    made = chain(6)
    random.Random(of).shuffle(made)
    cluster = cluster_of(str(of), [*made, link("x", "y")])
    assert cluster.ids == tuple(str(n) for n in range(7))
    assert [each.later.at_ms for each in cluster.links] == [n * 1000 for n in range(1, 7)]


def test_cycle_and_links_to_oneself_end():
    for of in "012":
        assert (names(cluster_of(of, CYCLE)), len(cluster_of(of, [*CYCLE, *CYCLE]).links)) == ("012", 3)
    own = link("a", "a", kind=LinkKind.SAME_BYTES)
    cluster = cluster_of("a", [own, link("b", "c")])
    assert (cluster.ids, cluster.links) == (("a",), (own,))


def test_two_faces_stay_apart():
    made = [link("a", "x", 1), link("b", "x", 2, since_s=0.5)]
    assert [names(cluster_of(of, made)) for of in "ax"] == ["ax", "abx"]
    assert names(cluster_of("x", made).showing("x-1", "x", {LinkKind.FACE})) == "ax"


def test_other_kinds_are_left_out():
    made = [link("a", "b", 1), link("b", "c", 2, LinkKind.SAME_BYTES, since_s=1), link("c", "d", 3, since_s=2)]
    cluster = cluster_of("a", made, whole=False)
    faces = cluster.showing("a-0", "a", LINKING[FlagKind.FACE_REUSE])
    assert (names(cluster), names(faces), faces.whole) == ("abcd", "ab", False)
    assert cluster.showing("a-0", "a", MEDIA).links == ()
    assert names(cluster.showing("c-2", "c", MEDIA)) == "bc"
    assert cluster.showing("c-2", "a", MEDIA).links == (), "another's submission of that id"


@pytest.mark.parametrize(
    ("cleared_ms", "of", "left"),
    [
        *(({}, "0", "0123"), ({"nobody": 10**9}, "0", "0123"), ({"2": 1_999}, "0", "0123"), ({"2": 2_000}, "0", "01")),
        *(({"0": 10**9}, "0", ""), ({"0": 10**9}, "3", "123")),
    ],
)
def test_cleared_submissions_link_nobody(cleared_ms, of, left):
    cluster = cluster_of("0", chain(3))
    assert names(cluster.without(cleared_ms, of)) == left
    assert (cluster.without(cleared_ms, of) is cluster) is (left == "0123")


def test_submissions_after_clearing_count():
    made = [link("a", "b", at_s=5), link("a", "b", at_s=9, since_s=7)]
    assert cluster_of("a", made).without({"a": 6_999}, "a").links == (made[1],)
    assert cluster_of("a", made).without({"a": 7_000}, "a") == NO_CLUSTER
    assert cluster_of("a", made, whole=False).without({"a": 6_999}, "a").whole is False


def test_best_link_per_pair_first():
    def to(name: str, session: int, distance: float) -> Link:
        other = SubmissionRef(
            at_ms=session, submission_id=f"{name}-{session}", correlation_id=name, session_id=f"s{session}"
        )
        mine = SubmissionRef(at_ms=1000, submission_id="me-1", correlation_id="me", session_id="s")
        return Link(kind=LinkKind.FACE, earlier=other, later=mine, distance=distance)

    made = [to("a", 1, 0.1), to("a", 2, 0.2), to("b", 3, 0.4), to("a", 4, 0.3), to("b", 3, 0.35), to("c", 5, 0.15)]
    found = [(each.earlier.correlation_id, each.distance) for each in best_per_pair(reversed(made))]
    assert found == [("a", 0.1), ("c", 0.15), ("b", 0.35), ("a", 0.2), ("a", 0.3)]


async def store_of(made: list[Link]) -> tuple[InMemoryLinkStore, list[str]]:
    """A store with these links, and the calls made on it from then on."""
    calls: list[str] = []
    store = InMemoryLinkStore(calls.append)
    await store.write(TENANT, made)
    calls.clear()
    return store, calls


async def around(store: InMemoryLinkStore, of: str, fresh: list[Link] | None = None, **how) -> Cluster:
    return await cluster_around(store, TENANT, of, fresh or [], **how)


@pytest.mark.parametrize("of", range(5))
async def test_whole_cluster_is_read(of):
    store, _ = await store_of(chain(4))
    cluster = await around(store, str(of))
    assert (cluster, cluster.whole) == (cluster_of(str(of), chain(4)), True)


@pytest.mark.parametrize("length", [MOST_STEPS, MOST_STEPS + 1, MOST_STEPS + 3])
async def test_distant_members_are_left_out(length):
    """The first member that is too far away is only heard of."""
    store, calls = await store_of(chain(length))
    cluster = await around(store, "0")
    assert (len(cluster.ids), cluster.whole) == (MOST_STEPS + 1, length == MOST_STEPS)
    assert calls == ["of"] * (1 + MOST_STEPS)


@pytest.mark.parametrize(
    ("others", "whole"), [(MOST_MEMBERS - 1, True), (MOST_MEMBERS, False), (3 * MOST_MEMBERS, False)]
)
async def test_members_are_bounded(others, whole):
    star = [link("hub", f"p{number}", at_s=number + 1) for number in range(others)]
    asked: list[str] = []

    class Counting(InMemoryLinkStore):
        async def of(self, tenant, correlation_ids):
            asked.extend(correlation_ids)
            return await super().of(tenant, correlation_ids)

    store = Counting()
    await store.write(TENANT, star)
    cluster = await around(store, "hub")
    assert (cluster.whole, len(asked)) == (whole, min(others + 1, MOST_MEMBERS))
    assert len(set(asked)) == len(asked)


async def test_cycle_in_the_store_is_whole():
    store, calls = await store_of(CYCLE)
    cluster = await around(store, "0")
    assert (names(cluster), cluster.whole, len(calls)) == ("012", True, 2)


async def test_fresh_links_count_unwritten():
    store, _ = await store_of([link("b", "c", 2, since_s=1)])
    fresh = [link("a", "b", 1)]
    cluster = await around(store, "a", fresh)
    assert names(cluster) == "abc"
    await store.write(TENANT, fresh)
    assert await around(store, "a", fresh) == cluster


async def test_only_asked_kinds_are_followed():
    store, _ = await store_of([link("a", "b", 1), link("b", "c", 2, LinkKind.SAME_PIXELS), link("c", "d", 3)])
    asked = (("a", LINKING[FlagKind.FACE_REUSE], "ab"), ("a", MEDIA, ""), ("c", MEDIA, "bc"))
    for of, kinds, members in asked:
        assert names(await around(store, of, of_kinds=kinds)) == members
