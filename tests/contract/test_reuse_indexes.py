"""Contract of the face index and the image index: in memory, on the embedded Redis, a real server, a real cluster.

The later search of two submissions finds the earlier, however often, late and in whatever order they come; everything
expires; no forgotten submission comes back.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abuse.event_time import DAY_MS
from tests.contract.index_cases import (
    FACE_PLAN,
    FACES,
    FACES_IN_PARTS,
    FACES_MIRRORED,
    NOW_MS,
    PICTURES,
    IndexKind,
    ids,
    matches,
    search,
)
from tests.contract.redis_servers import PROPERTY, CountedRedis, Held, RedisServer, scattered
from tests.enrolling import enrol_and_search

WINDOW_MS = FACE_PLAN.window_ms


@pytest.fixture(params=[FACES, PICTURES], ids=["faces", "pictures"])
def kind(request: pytest.FixtureRequest) -> IndexKind:
    made: IndexKind = request.param
    return made


@pytest.fixture
def held(kind: IndexKind, any_redis: RedisServer | None) -> Held:
    return kind.held(any_redis)


async def test_strangers_do_not_match(held, kind):
    assert matches(await search(held.store, *(kind.of(number) for number in range(8)))) == ()


async def test_match_names_the_submission(held, kind):
    first = kind.of(1, 7, spoof=True)
    await held.store.enrol([first])
    (match,) = matches(await search(held.other_worker, kind.of(2, 7, 3)))
    assert match.ref_fields == first.ref_fields


async def test_tenants_are_apart(held, kind):
    await search(held.store, kind.of(1, 7), kind.of(2, 7, tenant=None), kind.of(3, 7, tenant="other"))
    assert ids(await search(held.store, kind.of(9, 7, tenant=None))) == ["sub-2"]


async def test_window_is_exact_both_ways(held, kind):
    for number, offset in enumerate((WINDOW_MS, WINDOW_MS + 1, -WINDOW_MS, -WINDOW_MS - 1), start=1):
        await search(held.store, kind.of(number, 7, at_ms=NOW_MS - offset))
    assert set(ids(await search(held.store, kind.of(9, 7)))) == {"sub-1", "sub-3"}


async def test_bulk_enrolment_is_found(held, kind):
    await held.store.enrol([kind.of(number, 7) for number in range(1, 5)])
    await held.store.enrol([])
    assert set(ids(await search(held.other_worker, kind.of(9, 7)))) == {f"sub-{number}" for number in range(1, 5)}


async def test_repetition_changes_nothing(held, kind):
    enrolled = [kind.of(number, 7) for number in range(4)]
    once = await search(held.store, *enrolled)
    for _ in range(3):
        assert await search(held.other_worker, enrolled[3]) == once
    assert len(matches(once)) == 3


async def one_of_two_is_found(kind: IndexKind, one: Any, other: Any, *, apart: bool) -> None:
    for number in range(0, 40, 2):
        changes = kind.apart(number) if apart else {}
        first, second = kind.of(number, 500 + number), kind.of(number + 1, 500 + number, **changes)
        results = enrol_and_search(one, first, kind.within), enrol_and_search(other, second, kind.within)
        assert any(map(matches, await asyncio.gather(*results))), number


@pytest.mark.parametrize("apart", [False, True], ids=["one bucket", "nothing in common"])
async def test_simultaneous_submissions_match(held, kind, apart):
    await one_of_two_is_found(kind, held.store, held.other_worker, apart=apart)


async def test_simultaneous_submissions_match_across_nodes(redis_server, kind):
    indexes = (kind.on_redis(calls, redis_server.prefix) for calls in scattered(redis_server))
    await one_of_two_is_found(kind, *indexes, apart=True)


async def test_forgetting_leaves_no_match(held, kind):
    own = [kind.of(number, 7, number, correlation_id="me") for number in range(5)]
    await search(held.store, *own, kind.of(8, 7), kind.of(9, 7, correlation_id="me", tenant="other"))
    assert [await held.store.held(tenant, "me") for tenant in ("acme", None)] == [5, 0]
    assert await held.other_worker.forget("acme", "me") == 5
    assert await held.store.held("acme", "me") == 0
    assert await held.store.forget("acme", "me") == 0
    assert ids(await search(held.store, kind.of(10, 7))) == ["sub-8"]
    assert ids(await search(held.store, kind.of(11, 7, tenant="other"))) == ["sub-9"]


async def test_forgotten_submission_may_return(held, kind):
    await search(held.store, kind.of(1, 7))
    await held.store.forget("acme", "cid-1")
    await search(held.store, kind.of(1, 7))
    assert ids(await search(held.store, kind.of(2, 7))) == ["sub-1"]


async def test_round_trips_of_a_search(redis_server, kind):
    """Two without a match: enrolment and search. A third reads the records of matches."""
    calls = CountedRedis(redis_server.connect())
    index = kind.on_redis(calls, redis_server.prefix)
    await search(index, *(kind.of(number, hours=number % 3) for number in range(12)))
    for enrolled, trips in ((kind.of(20), 2), (kind.of(21, 5), 3)):
        calls.trips.clear()
        await search(index, enrolled)
        assert len(calls.trips) == trips, calls.trips
    assert {command[0] for command in calls.trips[2]} == {kind.read_last}


async def test_every_key_expires(redis_server, kind):
    await search(kind.on_redis(redis_server.connect(), redis_server.prefix), kind.of(1, 7), kind.of(2, 7, 30))
    keys = await redis_server.keys()
    assert {key.removeprefix(f"{redis_server.prefix}abuse:").partition(":")[0] for key in keys} == kind.families
    for key in keys:
        assert await redis_server.client.pttl(key) > 0, key
        assert await redis_server.expires_ms(key) <= NOW_MS + WINDOW_MS + 3 * DAY_MS, key
        assert key.count("{") == key.count("}") <= 1, "one hash tag: a cluster keeps the key on one node"


@pytest.mark.parametrize(
    "kind",
    [FACES, FACES_IN_PARTS, FACES_MIRRORED, PICTURES],
    ids=["faces", "parts", "mirrored", "pictures"],
    indirect=True,
)
@settings(PROPERTY, max_examples=10)
@given(data=st.data(), seed=st.integers(0, 99))
async def test_order_and_repetition_do_not_matter(held, kind, data, seed):
    shown = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 60), kind.varied), min_size=2, max_size=12)
    enrolled = [kind.of(n, shows, hours, **each) for n, (shows, hours, each) in enumerate(data.draw(shown))]
    expected, fresh, chance = kind.in_memory(), held.fresh(), random.Random(seed)
    await search(expected, *enrolled)
    shuffled = [*enrolled, *(each for each in enrolled if chance.random() < 0.3)]
    chance.shuffle(shuffled)
    edges, wanted = set(), set()
    for number, each in enumerate(shuffled):
        edges |= pairs(each, await search((fresh.store, fresh.other_worker)[number % 2], each))
    for each in enrolled:
        result = await search(expected, each)
        assert matches(await search(fresh.store, each)) == matches(result)
        wanted |= pairs(each, result)
    assert edges == wanted, "each pair was found while submissions came in, whatever the order"


def pairs(enrolled: Any, result: Any) -> set[frozenset[str]]:
    return {frozenset((enrolled.submission_id, name)) for name in ids(result)}
