"""Contract of the link store: in memory, on the embedded Redis, a real server, a real cluster.

A link is found from both correlation ids, in whatever order and however often written; of many links the newest are
retained; a forgotten correlation id is named nowhere; everything expires.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abuse.event_time import DAY_MS
from abuse.links.link_store import InMemoryLinkStore, LinkStore, field_of
from abuse.links.links import LINKS_KEPT, Link, LinkKind, in_order, line_of
from abuse.links.redis_link_store import RedisLinkStore
from abuse.redis_port import ForeignValue
from abuse.submission_ref import SubmissionRef
from config.errors import Unavailable
from tests.contract.redis_servers import PROPERTY, CountedRedis, FaultyRedis, PortKind

TTL_MS = 8 * DAY_MS
TENANT = "acme"
NOW_MS = 1_800_000_000_000


PORT = PortKind(in_memory=InMemoryLinkStore, on_redis=lambda calls, prefix: RedisLinkStore(calls, prefix, TTL_MS))


def link(one: str, other: str, number: int = 0, **changes: Any) -> Link:
    """Submission `number` of `one`, so many seconds after the first, linked to the first of `other`."""
    earlier, later = in_order(
        SubmissionRef(
            at_ms=NOW_MS + number * 1000, submission_id=f"{one}-{number}", correlation_id=one, session_id="s"
        ),
        SubmissionRef(at_ms=NOW_MS, submission_id=f"{other}-first", correlation_id=other),
    )
    return replace(Link(kind=LinkKind.FACE, earlier=earlier, later=later, distance=0.25, gallery=7), **changes)


async def links_of(store: LinkStore, *names: str, tenant: str | None = TENANT) -> dict[str, tuple[Link, ...]]:
    return dict(await store.of(tenant, names))


async def test_empty_store_has_no_links(held):
    assert await links_of(held.store, "a", "b") == {"a": (), "b": ()}
    assert await links_of(held.store) == {}
    await held.store.write(TENANT, [])
    assert await held.store.forget(TENANT, "a", ["b"]) == 0


async def test_link_is_found_from_both_ids(held):
    made = link("a", "b", 1, kind=LinkKind.NEAR_DUPLICATE, distance=3, threshold=7, expected=0.0123)
    await held.store.write(TENANT, [made])
    assert await links_of(held.other_worker, "a", "b", "c") == {"a": (made,), "b": (made,), "c": ()}


async def test_link_to_itself_is_stored_once(held):
    made = link("a", "a", 1, kind=LinkKind.SAME_BYTES)
    await held.store.write(TENANT, [made])
    assert await links_of(held.store, "a") == {"a": (made,)}
    assert await held.store.forget(TENANT, "a", ["a"]) == 1
    assert await links_of(held.store, "a") == {"a": ()}


async def test_links_are_in_order_of_time(held):
    """Written in any order and again."""
    links = [link("a", "b", number) for number in range(1, 9)]
    await held.store.write(TENANT, links[5:])
    for store in (held.other_worker, held.store):
        await store.write(TENANT, [*links[:6][::-1], links[1], links[1]])
    assert await links_of(held.store, "a", "b") == {"a": tuple(links), "b": tuple(links)}


@pytest.mark.parametrize("gallery", [3, 900])
async def test_first_line_of_a_pair_stays(held, gallery):
    made = link("a", "b", 1)
    await held.store.write(TENANT, [made])
    grown = replace(made, gallery=gallery, threshold=0.1)
    await held.other_worker.write(TENANT, [grown, replace(grown, expected=0.5)])
    assert await links_of(held.store, "a", "b") == {"a": (made,), "b": (made,)}
    assert await held.store.forget(TENANT, "a", ["b"]) == 1


async def test_pair_with_two_figures_is_one(held):
    made = link("a", "b", 1)
    await held.store.write(TENANT, [made, replace(made, gallery=9, expected=0.5)])
    (once,) = (await links_of(held.store, "a"))["a"]
    assert once.name == made.name
    assert (await links_of(held.store, "b"))["b"] == (once,)


async def test_links_beyond_retention_go(held):
    long_after_s = TTL_MS // 1000 + 2
    old, within, new = (link("a", f"p{number}", number) for number in (1, 2, long_after_s))
    await held.store.write(TENANT, [old, within])
    await held.other_worker.write(TENANT, [new])
    assert (await links_of(held.store, "a"))["a"] == (within, new)
    await held.store.write(TENANT, [old])
    assert await links_of(held.store, "a", "p1") == {"a": (within, new), "p1": (old,)}


async def test_tenants_are_apart(held):
    await held.store.write(TENANT, [link("a", "b", 1)])
    await held.store.write(None, [link("a", "c", 2)])
    assert await links_of(held.store, "a", tenant="other") == {"a": ()}
    assert await links_of(held.store, "a", tenant=None) == {"a": (link("a", "c", 2),)}
    await held.store.forget(None, "a", ["b", "c"])
    assert await links_of(held.store, "a", "b") == {"a": (link("a", "b", 1),), "b": (link("a", "b", 1),)}


@pytest.mark.parametrize("seed", [1, 2])
async def test_newest_links_are_retained(held, seed):
    """An old link written again stays out, and a replay with other figures displaces none."""
    links = [link("a", f"p{number % 3}", number) for number in range(1, LINKS_KEPT + 40)]
    shuffled = random.Random(seed).sample(links, len(links))
    for start in range(0, len(shuffled), 50):
        await held.store.write(TENANT, shuffled[start : start + 50])
    for again in ([], [links[0]], [replace(each, gallery=900) for each in links]):
        await held.other_worker.write(TENANT, again)
        assert (await links_of(held.store, "a"))["a"] == tuple(links[-LINKS_KEPT:])
    assert len((await links_of(held.store, "p0"))["p0"]) == len([each for each in links if "p0" in each.ids])


async def test_others_older_links_are_forgotten(held):
    old = link("b", "a", 1)
    newer = [link("a", "c", number) for number in range(2, LINKS_KEPT + 2)]
    await held.store.write(TENANT, [old, *newer])
    assert old not in (await links_of(held.store, "a"))["a"]
    assert await held.store.forget(TENANT, "a", ["b", "c"]) == LINKS_KEPT + 1
    assert await links_of(held.store, "a", "b", "c") == {"a": (), "b": (), "c": ()}


async def test_interrupted_forgetting_continues(held):
    """The own links are removed already, and a linked id wasn't named the first time."""
    made = link("a", "b", 1)
    await held.store.write(TENANT, [made])
    assert await held.store.forget(TENANT, "a", []) == 1
    assert (await links_of(held.store, "b"))["b"] == (made,)
    assert await held.store.forget(TENANT, "a", ["b"]) == 1
    assert (await links_of(held.store, "b"))["b"] == ()


async def test_forgetting_while_a_node_is_away(redis_server):
    """The own links are the index to the others': were they removed first, the others' would stay."""
    made = [link("a", "b", 1), link("a", "c", 2)]
    await PORT.held(redis_server).store.write(TENANT, made)
    calls = FaultyRedis(
        redis_server.connect(), lambda command: command[0] == "HDEL" and str(command[1]).endswith("|b}")
    )
    store = RedisLinkStore(calls, redis_server.prefix, TTL_MS)

    async def erase() -> None:
        links = (await store.of(TENANT, ["a"]))["a"]
        await store.forget(TENANT, "a", sorted({name for each in links for name in each.ids}))

    with pytest.raises(Unavailable):
        await erase()
    await erase()
    assert await links_of(store, "a", "b", "c") == {"a": (), "b": (), "c": ()}


async def test_removed_links_take_no_room(redis_server):
    store = PORT.held(redis_server).store
    await store.write(TENANT, [link("a", "b", number) for number in range(1, LINKS_KEPT + 9)])
    assert await redis_server.client.hlen(f"{redis_server.prefix}abuse:links:{{acme|a}}") == LINKS_KEPT
    await store.forget(TENANT, "a", ["b"])
    assert await redis_server.keys() == []


async def test_keys_expire_after_the_last_link(redis_server):
    store = PORT.held(redis_server).store
    await store.write(TENANT, [link("a", "b", 1), link("a", "c", 2)])
    keys = await redis_server.keys()
    assert sorted(key.partition("links:")[2] for key in keys) == ["{acme|a}", "{acme|b}", "{acme|c}"]
    for key in keys:
        assert TTL_MS - 60_000 < await redis_server.client.pttl(key) <= TTL_MS
        await redis_server.client.pexpire(key, 90_000)
    await store.write(TENANT, [link("a", "b", 3)])
    lives = {key: await redis_server.client.pttl(key) for key in keys}
    assert [key.endswith("|c}") for key in keys if lives[key] <= 90_000] == [True], "only the two it joins live on"


END = '[2,"s","c",null,false]'


@pytest.mark.parametrize(
    ("field", "line"),
    [
        *((field_of(link("a", "b", 2)), line) for line in ("whatever", b"\xff", "[]", f'["love",{END},{END},0,0,0,0]')),
        ("whatever", line_of(link("a", "b", 1))),
    ],
)
async def test_foreign_value_is_named(redis_server, field, line):
    store = PORT.held(redis_server).store
    await store.write(TENANT, [link("a", "b", 1)])
    await redis_server.client.hset(f"{redis_server.prefix}abuse:links:{{acme|a}}", field, line)
    changing = store.forget(TENANT, "b", ["a"]) if field != "whatever" else store.write(TENANT, [link("a", "c", 1)])
    for call in (store.of(TENANT, ["b", "a"]), changing):
        with pytest.raises(ForeignValue, match=r"acme\|a"):
            await call


def told(calls: CountedRedis) -> Counter[str]:
    """How often each command was sent since this was last asked."""
    commands = Counter(str(command[0]) for trip in calls.trips for command in trip)
    calls.trips.clear()
    return commands


async def test_line_is_read_once(redis_server):
    """Of ids that were read, only what others wrote since is read; and nothing that others erased is there."""
    calls, others = CountedRedis(redis_server.connect()), PORT.held(redis_server).store
    store, made = RedisLinkStore(calls, redis_server.prefix, TTL_MS), [link("a", "b", n) for n in range(1, 5)]
    await others.write(TENANT, made[:2])
    assert (await store.of(TENANT, ["a"]))["a"] == tuple(made[:2])
    await others.write(TENANT, made[2:3])
    told(calls)
    assert (await store.write(TENANT, made[3:]))["a"] == tuple(made)
    assert told(calls) == {"HSETNX": 2, "PEXPIRE": 2, "HKEYS": 1, "HGETALL": 1, "HGET": 1}
    await others.forget(TENANT, "b", ["a"])
    assert await links_of(store, "a", "b") == {"a": (), "b": ()}
    assert told(calls) == {"HKEYS": 2}


async def test_first_line_stays_beside_a_memory(redis_server):
    """The stored line counts, not the one that this worker offers later."""
    store, others = (PORT.held(redis_server).store for _ in range(2))
    await store.write(TENANT, [link("a", "b", 1)])
    first = link("a", "c", 2)
    await others.write(TENANT, [first])
    assert (await store.write(TENANT, [replace(first, gallery=900)]))["a"] == (link("a", "b", 1), first)


NAMES = ("a", "b", "c", "d")
names = st.sampled_from(NAMES)
writing = st.lists(st.tuples(names, names, st.integers(1, 6)), min_size=1, max_size=5)
forgetting = st.tuples(names, st.sets(names))
steps = st.lists(st.one_of(writing, forgetting), min_size=1, max_size=10)


class Model:
    """Sets of links: of each correlation id those that name it and are not forgotten."""

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
async def test_store_behaves_as_sets_of_links(held, steps, seed):
    fresh, model, chance = held.fresh(), Model(), random.Random(seed)
    for number, step in enumerate(steps):
        store = (fresh.store, fresh.other_worker)[number % 2]
        if isinstance(step, list):
            links = [link(*each) for each in step]
            model.write(links)
            again = [each for each in links if chance.random() < 0.4]
            chance.shuffle(links)
            await store.write(TENANT, [*links, *again])
        else:
            name, others = step
            assert await store.forget(TENANT, name, sorted(others)) == model.forget(name, others)
    held_now = await links_of(fresh.store, *NAMES)
    assert {name: set(links) for name, links in held_now.items()} == model.links
    assert all(len(set(links)) == len(links) for links in held_now.values())
    for links in held_now.values():
        assert [each.later.at_ms for each in links] == sorted(each.later.at_ms for each in links)


async def test_writing_tells_what_is_held(held):
    """The later of two writers reads the links of both."""
    first, second = link("a", "b", 1), link("c", "b", 2)
    assert await held.store.write(TENANT, [first]) == {"a": (first,), "b": (first,)}
    assert await held.other_worker.write(TENANT, [second]) == {"c": (second,), "b": (first, second)}
    assert await held.store.write(TENANT, [first]) == {"a": (first,), "b": (first, second)}
    assert await held.store.write(TENANT, []) == {}
