"""Links as lines, and the clusters they form: over chains and cycles, by kind, without what was cleared, in bounds."""

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
    SubmissionRef,
    at_ms=st.integers(0, 2**53),
    submission_id=ids,
    correlation_id=ids,
    session_id=st.none() | ids,
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


@given(made=links)
def test_a_line_says_everything_about_its_link(made):
    read = link_from(line_of(made))
    assert (read.kind, read.refs, read.gallery, read.name) == (made.kind, made.refs, made.gallery, made.name)
    assert read.distance == pytest.approx(made.distance, abs=5e-5)
    assert read.threshold == pytest.approx(made.threshold, abs=5e-5)
    assert read.expected == pytest.approx(made.expected, rel=5e-3)
    assert line_of(read) == line_of(made), "what was rounded once stays"


@given(made=links, other=ids)
def test_a_line_is_about_its_two_correlation_ids(made, other):
    line = line_of(made)
    assert all(is_about(line, name) for name in made.ids)
    assert is_about(line, other) == (other in made.ids)


@given(one=ends, other=ends)
def test_two_ends_are_in_order_whichever_is_given_first(one, other):
    assert [end.key for end in in_order(one, other)] == [end.key for end in in_order(other, one)]
    assert [end.key for end in in_order(one, other)] == sorted([one.key, other.key])


@pytest.mark.parametrize(
    "line",
    [
        "",
        "whatever",
        "{}",
        "[]",
        "7",
        "null",
        '["face"]',
        '["love",[1,"s","c",null],[2,"s","c",null],0,0,0,0]',
        '["face",[1,"s","c"],[2,"s","c",null],0,0,0,0]',
        '["face",7,[2,"s","c",null],0,0,0,0]',
        '["face",[1,"s","c",null],[2,"s","c",null],0,0,0]',
    ],
)
def test_what_is_no_line_is_refused(line):
    with pytest.raises((ValueError, TypeError, KeyError)):
        link_from(line)


def link(one: object, other: object, at_s: float = 1.0, kind: LinkKind = LinkKind.FACE, since_s: float = 0.0) -> Link:
    """Between the first submission of the one, at `since_s`, and a later one of the other."""
    return Link(
        kind=kind,
        earlier=SubmissionRef(at_ms=round(since_s * 1000), submission_id=f"{one}-{since_s:g}", correlation_id=str(one)),
        later=SubmissionRef(at_ms=round(at_s * 1000), submission_id=f"{other}-{at_s:g}", correlation_id=str(other)),
    )


def chain(length: int) -> list[Link]:
    """Correlation ids 0 to `length`, each linked to the next."""
    return [link(one, other, at_s=other, since_s=one) for one, other in pairwise(range(length + 1))]


def names(cluster: Cluster) -> set[str]:
    return set(cluster.ids)


def test_lines_told_twice_are_one_link_in_order_of_their_later_end():
    made = [link("a", "b", 3), link("a", "c", 1), link("b", "c", 2)]
    grown = [replace(each, gallery=5) for each in made]
    read = links_from([line_of(each) for each in (*made, *grown, *made)])
    assert [each.name for each in read] == [each.name for each in (made[1], made[2], made[0])]
    assert links_from(line_of(each) for each in (*grown, *made)[::-1]) == read, "whatever was told first"
    assert [each.gallery for each in read] == [0] * 3, "the line that sorts first, in every worker"


def test_linked_to_nobody():
    assert cluster_of("a", []) == NO_CLUSTER
    assert cluster_of("a", [link("b", "c")]) == NO_CLUSTER
    assert (NO_CLUSTER.ids, NO_CLUSTER.refs, NO_CLUSTER.whole) == ((), (), True)


@pytest.mark.parametrize("of", [0, 3, 6])
def test_a_chain_is_one_cluster_from_any_of_its_members(of):
    made = chain(6)
    random.Random(of).shuffle(made)
    cluster = cluster_of(str(of), [*made, link("x", "y")])
    assert cluster.ids == tuple(str(n) for n in range(7))
    assert [each.later.at_ms for each in cluster.links] == [n * 1000 for n in range(1, 7)]


def test_a_cycle_ends():
    made = [link(0, 1, 1), link(1, 2, 2, since_s=1), link(0, 2, 2)]
    for of in "012":
        assert (names(cluster_of(of, made)), len(cluster_of(of, [*made, *made]).links)) == ({"0", "1", "2"}, 3)


def test_a_link_to_oneself_joins_nobody_else():
    own = link("a", "a", kind=LinkKind.SAME_BYTES)
    assert cluster_of("a", [own, link("b", "c")]).ids == ("a",)
    assert cluster_of("a", [own]).links == (own,)


def test_who_shows_two_faces_does_not_join_them():
    made = [link("a", "x", 1), link("b", "x", 2, since_s=0.5)]
    assert names(cluster_of("a", made)) == {"a", "x"}
    assert names(cluster_of("x", made)) == {"a", "b", "x"}
    assert names(cluster_of("x", made).showing("x-1", "x", {LinkKind.FACE})) == {"a", "x"}


def test_links_of_other_kinds_lead_nowhere():
    made = [link("a", "b", 1), link("b", "c", 2, LinkKind.SAME_BYTES, since_s=1), link("c", "d", 3, since_s=2)]
    cluster = cluster_of("a", made, whole=False)
    assert names(cluster) == {"a", "b", "c", "d"}
    faces = cluster.showing("a-0", "a", LINKING[FlagKind.FACE_REUSE])
    assert (names(faces), faces.whole) == ({"a", "b"}, False)
    assert cluster.showing("a-0", "a", MEDIA).links == ()
    assert names(cluster.showing("c-2", "c", MEDIA)) == {"b", "c"}
    assert cluster.showing("c-2", "a", MEDIA).links == (), "another's submission of that id"


def test_what_was_cleared_links_nobody_and_cuts_off_who_was_behind():
    made = chain(3)
    cluster = cluster_of("0", made)
    assert cluster.without({}, "0") is cluster
    assert cluster.without({"nobody": 10**9}, "0") is cluster
    assert names(cluster.without({"2": 2_000}, "0")) == {"0", "1"}
    assert cluster.without({"2": 1_999}, "0") is cluster
    assert cluster.without({"0": 10**9}, "0") == NO_CLUSTER
    assert names(cluster.without({"0": 10**9}, "3")) == {"1", "2", "3"}


def test_what_came_in_after_the_clearing_counts():
    made = [link("a", "b", at_s=5), link("a", "b", at_s=9, since_s=7)]
    assert cluster_of("a", made).without({"a": 6_999}, "a").links == (made[1],)
    assert cluster_of("a", made).without({"a": 7_000}, "a") == NO_CLUSTER
    assert cluster_of("a", made, whole=False).without({"a": 6_999}, "a").whole is False


def test_of_links_the_strongest_to_each_other_id_come_first_then_its_other_sessions():
    def to(other: str, session: int, distance: float) -> Link:
        ends = (
            SubmissionRef(
                at_ms=session, submission_id=f"{other}-{session}", correlation_id=other, session_id=f"s{session}"
            ),
            SubmissionRef(at_ms=1000, submission_id="me-1", correlation_id="me", session_id="s"),
        )
        return Link(kind=LinkKind.FACE, earlier=ends[0], later=ends[1], distance=distance)

    made = [to("a", 1, 0.1), to("a", 2, 0.2), to("b", 3, 0.4), to("a", 4, 0.3), to("b", 3, 0.35), to("c", 5, 0.15)]
    told = [(each.earlier.correlation_id, each.distance) for each in best_per_pair(reversed(made))]
    assert told == [("a", 0.1), ("c", 0.15), ("b", 0.35), ("a", 0.2), ("a", 0.3)]


async def book_of(made: list[Link]) -> tuple[InMemoryLinkStore, list[str]]:
    """With what is asked of it."""
    calls: list[str] = []
    book = InMemoryLinkStore(calls.append)
    await book.write(TENANT, made)
    calls.clear()
    return book, calls


async def around(book: InMemoryLinkStore, of: str, fresh: list[Link] | None = None, **how) -> Cluster:
    return await cluster_around(book, TENANT, of, fresh or [], **how)


@pytest.mark.parametrize("of", range(5))
async def test_the_book_is_followed_to_everybody_in_reach(of):
    book, _ = await book_of(chain(4))
    cluster = await around(book, str(of))
    assert cluster == cluster_of(str(of), chain(4))
    assert cluster.whole


async def test_what_is_too_many_steps_away_is_left_out_and_said():
    book, calls = await book_of(chain(MOST_STEPS + 3))
    cluster = await around(book, "0")
    assert names(cluster) == {str(n) for n in range(MOST_STEPS + 1)}, "the next is only heard of"
    assert not cluster.whole
    assert calls == ["of"] * (1 + MOST_STEPS)


async def test_the_last_step_that_may_be_taken_can_end_the_way():
    book, _ = await book_of(chain(MOST_STEPS))
    cluster = await around(book, "0")
    assert (len(cluster.ids), cluster.whole) == (MOST_STEPS + 1, True)
    book, _ = await book_of(chain(MOST_STEPS + 1))
    assert not (await around(book, "0")).whole


@pytest.mark.parametrize(
    ("others", "whole"), [(MOST_MEMBERS - 1, True), (MOST_MEMBERS, False), (3 * MOST_MEMBERS, False)]
)
async def test_only_so_many_members_are_looked_at(others, whole):
    star = [link("hub", f"p{number}", at_s=number + 1) for number in range(others)]
    asked: list[str] = []

    class Counting(InMemoryLinkStore):
        async def of(self, tenant, correlation_ids):
            asked.extend(correlation_ids)
            return await super().of(tenant, correlation_ids)

    book = Counting()
    await book.write(TENANT, star)
    cluster = await around(book, "hub")
    assert (cluster.whole, len(asked)) == (whole, min(others + 1, MOST_MEMBERS))
    assert len(set(asked)) == len(asked)


async def test_a_cycle_in_the_book_ends_and_is_whole():
    made = [link(0, 1, 1), link(1, 2, 2, since_s=1), link(0, 2, 2)]
    book, calls = await book_of(made)
    cluster = await around(book, "0")
    assert (names(cluster), cluster.whole, len(calls)) == ({"0", "1", "2"}, True, 2)


async def test_fresh_links_count_before_they_are_written():
    book, _ = await book_of([link("b", "c", 2, since_s=1)])
    fresh = [link("a", "b", 1)]
    cluster = await around(book, "a", fresh)
    assert names(cluster) == {"a", "b", "c"}
    await book.write(TENANT, fresh)
    assert await around(book, "a", fresh) == cluster


async def test_only_links_of_the_kinds_asked_for_are_followed():
    book, _ = await book_of([link("a", "b", 1), link("b", "c", 2, LinkKind.SAME_PIXELS), link("c", "d", 3)])
    assert names(await around(book, "a", of_kinds=LINKING[FlagKind.FACE_REUSE])) == {"a", "b"}
    assert (await around(book, "a", of_kinds=MEDIA)).ids == ()
    assert names(await around(book, "c", of_kinds=MEDIA)) == {"b", "c"}
