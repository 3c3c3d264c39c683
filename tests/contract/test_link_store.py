"""One suite for every book of links: in memory, on the embedded Redis, a real one and a real cluster.

What each must hold to: a link is found from both its ends, in whatever order and however often it was written; of many
the newest are kept; whoever is forgotten is named nowhere; everything expires.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abuse.event_time import DAY_MS
from abuse.links.link_store import InMemoryLinkStore, LinkStore, field_of
from abuse.links.links import LINKS_KEPT, Link, LinkKind, in_order, line_of
from abuse.links.redis_link_store import RedisLinkStore
from abuse.redis_port import ForeignValue
from abuse.submission_ref import SubmissionRef
from config.errors import Unavailable
from tests.contract.redis_servers import FaultyRedis, RedisServer

TTL_MS = 8 * DAY_MS
TENANT = "acme"
NOW_MS = 1_800_000_000_000
PROPERTY = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True, slots=True)
class Held:
    """A book, and another worker's over the same state."""

    book: LinkStore
    other_worker: LinkStore
    redis_server: RedisServer | None = None

    def fresh(self) -> Held:
        """With nothing in it, on the same server."""
        return held_on(None if self.redis_server is None else self.redis_server.apart())


def held_on(redis_server: RedisServer | None) -> Held:
    if redis_server is None:
        memory = InMemoryLinkStore()
        return Held(memory, memory)
    return Held(
        *(RedisLinkStore(calls, redis_server.prefix, TTL_MS) for calls in redis_server.workers(2)), redis_server
    )


@pytest.fixture
def held(any_redis: RedisServer | None) -> Held:
    return held_on(any_redis)


def link(one: str, other: str, number: int = 0, **changes: Any) -> Link:
    """Of submission `number` of the one, so many seconds after the first, with the first of the other."""
    ends = in_order(
        SubmissionRef(
            at_ms=NOW_MS + number * 1000, submission_id=f"{one}-{number}", correlation_id=one, session_id="s"
        ),
        SubmissionRef(at_ms=NOW_MS, submission_id=f"{other}-first", correlation_id=other),
    )
    earlier, later = ends
    return replace(Link(kind=LinkKind.FACE, earlier=earlier, later=later, distance=0.25, gallery=7), **changes)


async def told(book: LinkStore, *names: str, tenant: str | None = TENANT) -> dict[str, tuple[Link, ...]]:
    return dict(await book.of(tenant, names))


async def test_where_nothing_was_written_there_is_nothing(held):
    assert await told(held.book, "a", "b") == {"a": (), "b": ()}
    assert await told(held.book) == {}
    await held.book.write(TENANT, [])
    assert await held.book.forget(TENANT, "a", ["b"]) == 0


async def test_a_link_is_found_from_both_ends_with_all_it_says(held):
    made = link("a", "b", 1, kind=LinkKind.NEAR_DUPLICATE, distance=3, threshold=7, expected=0.0123)
    await held.book.write(TENANT, [made])
    assert await told(held.other_worker, "a", "b", "c") == {"a": (made,), "b": (made,), "c": ()}


async def test_a_link_of_one_correlation_id_with_itself_is_kept_once(held):
    made = link("a", "a", 1, kind=LinkKind.SAME_BYTES)
    await held.book.write(TENANT, [made])
    assert await told(held.book, "a") == {"a": (made,)}
    assert await held.book.forget(TENANT, "a", ["a"]) == 1
    assert await told(held.book, "a") == {"a": ()}


async def test_links_come_in_order_of_time_however_they_were_written(held):
    links = [link("a", "b", number) for number in range(1, 9)]
    await held.book.write(TENANT, links[5:])
    await held.other_worker.write(TENANT, links[:6][::-1])
    assert await told(held.book, "a", "b") == {"a": tuple(links), "b": tuple(links)}


async def test_writing_again_changes_nothing(held):
    links = [link("a", "b", 1), link("c", "a", 2)]
    for book in (held.book, held.other_worker, held.book):
        await book.write(TENANT, links)
        await book.write(TENANT, [links[1], links[1]])
    assert await told(held.book, "a", "b", "c") == {"a": tuple(links), "b": (links[0],), "c": (links[1],)}


async def test_a_pair_told_again_with_other_figures_is_one_link(held):
    made = link("a", "b", 1)
    await held.book.write(TENANT, [made, replace(made, gallery=9, expected=0.5)])
    (once,) = (await told(held.book, "a"))["a"]
    assert once.name == made.name
    assert (await told(held.book, "b"))["b"] == (once,)


@pytest.mark.parametrize("gallery", [3, 900])
async def test_what_was_told_first_of_a_pair_stays_whatever_a_replay_finds(held, gallery):
    made = link("a", "b", 1)
    await held.book.write(TENANT, [made])
    await held.other_worker.write(TENANT, [replace(made, gallery=gallery, threshold=0.1)])
    assert await told(held.book, "a", "b") == {"a": (made,), "b": (made,)}
    assert await held.book.forget(TENANT, "a", ["b"]) == 1


async def test_a_replay_with_another_gallery_takes_no_room_from_others(held):
    links = [link("a", f"p{number}", number) for number in range(1, LINKS_KEPT + 1)]
    await held.book.write(TENANT, links)
    await held.other_worker.write(TENANT, [replace(each, gallery=900) for each in links])
    assert (await told(held.book, "a"))["a"] == tuple(links)


async def test_links_much_older_than_the_newest_go_with_it_in_whatever_order_they_come(held):
    long_after_s = TTL_MS // 1000 + 2
    old, within, new = (link("a", f"p{number}", number) for number in (1, 2, long_after_s))
    await held.book.write(TENANT, [old, within])
    await held.other_worker.write(TENANT, [new])
    assert (await told(held.book, "a"))["a"] == (within, new)
    await held.book.write(TENANT, [old])
    assert await told(held.book, "a", "p1") == {"a": (within, new), "p1": (old,)}


async def test_tenants_never_meet(held):
    await held.book.write(TENANT, [link("a", "b", 1)])
    await held.book.write(None, [link("a", "c", 2)])
    assert await told(held.book, "a", tenant="other") == {"a": ()}
    assert await told(held.book, "a", tenant=None) == {"a": (link("a", "c", 2),)}
    await held.book.forget(None, "a", ["b", "c"])
    assert await told(held.book, "a", "b") == {"a": (link("a", "b", 1),), "b": (link("a", "b", 1),)}


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_newest_are_kept_in_whatever_order_they_come(held, seed):
    links = [link("a", f"p{number % 3}", number) for number in range(1, LINKS_KEPT + 40)]
    shuffled = list(links)
    random.Random(seed).shuffle(shuffled)
    for start in range(0, len(shuffled), 50):
        await held.book.write(TENANT, shuffled[start : start + 50])
    assert (await told(held.book, "a"))["a"] == tuple(links[-LINKS_KEPT:])
    await held.other_worker.write(TENANT, [links[0]])
    assert (await told(held.book, "a"))["a"] == tuple(links[-LINKS_KEPT:]), "an old one told again stays out"
    assert len((await told(held.book, "p0"))["p0"]) == len([each for each in links if "p0" in each.ids])


async def test_who_is_forgotten_is_named_with_none_of_the_others(held):
    links = [link("a", "b", 1), link("c", "a", 2), link("b", "c", 3)]
    await held.book.write(TENANT, links)
    assert await held.other_worker.forget(TENANT, "a", ["b", "c", "unknown"]) == 2
    assert await told(held.book, "a", "b", "c") == {"a": (), "b": (links[2],), "c": (links[2],)}
    assert await held.book.forget(TENANT, "a", ["b", "c"]) == 0


async def test_links_that_are_no_longer_among_the_own_are_forgotten_with_the_others_too(held):
    old = link("b", "a", 1)
    newer = [link("a", "c", number) for number in range(2, LINKS_KEPT + 2)]
    await held.book.write(TENANT, [old, *newer])
    assert old not in (await told(held.book, "a"))["a"]
    assert await held.book.forget(TENANT, "a", ["b", "c"]) == LINKS_KEPT + 1
    assert await told(held.book, "a", "b", "c") == {"a": (), "b": (), "c": ()}


async def test_a_forgetting_that_was_cut_short_is_finished_by_the_next(held):
    """Its own links are gone already, and one of the others wasn't named the first time."""
    made = link("a", "b", 1)
    await held.book.write(TENANT, [made])
    assert await held.book.forget(TENANT, "a", []) == 1
    assert (await told(held.book, "b"))["b"] == (made,)
    assert await held.book.forget(TENANT, "a", ["b"]) == 1
    assert (await told(held.book, "b"))["b"] == ()


async def test_a_place_that_somebody_else_named_is_named_by_its_key(redis_server):
    book = held_on(redis_server).book
    await redis_server.client.hset(
        f"{redis_server.prefix}abuse:links:{{acme|a}}", "whatever", line_of(link("a", "b", 1))
    )
    for call in (book.of(TENANT, ["a"]), book.write(TENANT, [link("a", "c", 1)])):
        with pytest.raises(ForeignValue, match=r"acme\|a"):
            await call


async def test_a_node_that_was_away_while_links_were_removed_keeps_none_of_them(redis_server):
    """Its own links say who the others are: were they gone first, nobody would come back for the others'."""
    made = [link("a", "b", 1), link("a", "c", 2)]
    await held_on(redis_server).book.write(TENANT, made)
    calls = FaultyRedis(
        redis_server.connect(), lambda command: command[0] == "HDEL" and str(command[1]).endswith("|b}")
    )
    book = RedisLinkStore(calls, redis_server.prefix, TTL_MS)

    async def erase() -> None:
        links = (await book.of(TENANT, ["a"]))["a"]
        await book.forget(TENANT, "a", sorted({name for each in links for name in each.ids}))

    with pytest.raises(Unavailable):
        await erase()
    await erase()
    assert await told(book, "a", "b", "c") == {"a": (), "b": (), "c": ()}


async def test_what_is_no_longer_kept_takes_no_room(redis_server):
    book = held_on(redis_server).book
    await book.write(TENANT, [link("a", "b", number) for number in range(1, LINKS_KEPT + 9)])
    assert await redis_server.client.hlen(f"{redis_server.prefix}abuse:links:{{acme|a}}") == LINKS_KEPT


async def test_everything_expires_after_the_last_link(redis_server):
    book = held_on(redis_server).book
    await book.write(TENANT, [link("a", "b", 1), link("a", "c", 2)])
    keys = await redis_server.keys()
    assert sorted(key.partition("links:")[2] for key in keys) == ["{acme|a}", "{acme|b}", "{acme|c}"]
    for key in keys:
        assert TTL_MS - 60_000 < await redis_server.client.pttl(key) <= TTL_MS
        await redis_server.client.pexpire(key, 90_000)
    await book.write(TENANT, [link("a", "b", 3)])
    lives = {key: await redis_server.client.pttl(key) for key in keys}
    assert [key.endswith("|c}") for key in keys if lives[key] <= 90_000] == [True], "only the two it joins live on"


async def test_forgetting_leaves_no_key(redis_server):
    book = held_on(redis_server).book
    await book.write(TENANT, [link("a", "b", number) for number in range(1, 9)])
    assert await redis_server.keys()
    await book.forget(TENANT, "a", ["b"])
    assert await redis_server.keys() == []


@pytest.mark.parametrize("line", [b"whatever", b"\xff", b"[]", b'["love",[1,"s","c",null],[2,"s","c",null],0,0,0,0]'])
async def test_what_somebody_else_wrote_is_named_by_its_key(redis_server, line):
    book = held_on(redis_server).book
    await book.write(TENANT, [link("a", "b", 1)])
    await redis_server.client.hset(f"{redis_server.prefix}abuse:links:{{acme|a}}", field_of(link("a", "b", 2)), line)
    for call in (book.of(TENANT, ["b", "a"]), book.forget(TENANT, "b", ["a"])):
        with pytest.raises(ForeignValue, match=r"acme\|a"):
            await call


NAMES = ("a", "b", "c", "d")
names = st.sampled_from(NAMES)
writing = st.lists(st.tuples(names, names, st.integers(1, 6)), min_size=1, max_size=5)
forgetting = st.tuples(names, st.sets(names))
steps = st.lists(st.one_of(writing, forgetting), min_size=1, max_size=10)


class Model:
    """Each correlation id has the set of links that name it and have not been forgotten."""

    def __init__(self) -> None:
        self.links: dict[str, set[Link]] = {name: set() for name in NAMES}

    def write(self, links: Sequence[Link]) -> None:
        for each in links:
            for name in each.ids:
                self.links[name].add(each)

    def forget(self, name: str, others: set[str]) -> int:
        gone = {each for other in {name, *others} for each in self.links[other] if name in each.ids}
        for other in {name, *others}:
            self.links[other] -= gone
        return len(gone)


@settings(PROPERTY, max_examples=25)
@given(steps=steps, seed=st.integers(0, 99))
async def test_whatever_happens_the_book_holds_what_a_set_would(held, steps, seed):
    fresh, model, chance = held.fresh(), Model(), random.Random(seed)
    for number, step in enumerate(steps):
        book = (fresh.book, fresh.other_worker)[number % 2]
        if isinstance(step, list):
            links = [link(*each) for each in step]
            model.write(links)
            again = [each for each in links if chance.random() < 0.4]
            chance.shuffle(links)
            await book.write(TENANT, [*links, *again])
        else:
            name, others = step
            assert await book.forget(TENANT, name, sorted(others)) == model.forget(name, others)
    held_now = await told(fresh.book, *NAMES)
    assert {name: set(links) for name, links in held_now.items()} == model.links
    assert all(len(set(links)) == len(links) for links in held_now.values())
    assert all(
        [each.later.at_ms for each in links] == sorted(each.later.at_ms for each in links)
        for links in held_now.values()
    )
