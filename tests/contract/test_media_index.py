"""One suite for every media index: in memory, on the embedded Redis, a real one and a real cluster.

What each must hold to: whoever is met later finds the other; every distance up to seven bits is found; everything
expires; a picture everybody sends stays small.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abuse.event_time import DAY_MS, HOUR_MS
from abuse.keys.key_periods import HashKey
from abuse.pictures.media_index import (
    MOST_BITS,
    EnrolledImage,
    ImageMatch,
    InMemoryMediaIndex,
    MatchKind,
    MediaIndex,
    MediaPlan,
)
from abuse.pictures.media_keys import MediaKeys
from abuse.pictures.redis_media_index import PAGE, RedisMediaIndex
from abuse.redis_port import Command, ForeignValue, RedisClient, Reply
from config.errors import Unavailable
from tests.contract.redis_servers import FaultyRedis, RedisServer, scattered
from tests.enrolling import enrol_and_search
from tests.instants import NOW_MS

WITHIN = 6
PLAN = MediaPlan(window_ms=2 * DAY_MS, most_lines=16)
KEYS = MediaKeys(
    [HashKey(id="k1", secret=b"1" * 32), HashKey(id="k2", secret=b"2" * 32, since_ms=NOW_MS - HOUR_MS)],
    reach_ms=PLAN.window_ms,
)
PROPERTY = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True, slots=True)
class Held:
    """An index, another worker's over the same state, and where there is one, the server."""

    index: MediaIndex
    other_worker: MediaIndex
    redis_server: RedisServer | None = None

    def fresh(self) -> Held:
        """An empty index on the same server."""
        return held_on(self.redis_server and self.redis_server.apart())


@pytest.fixture
def held(any_redis: RedisServer | None) -> Held:
    return held_on(any_redis)


def held_on(redis_server: RedisServer | None) -> Held:
    if redis_server is None:
        memory = InMemoryMediaIndex(PLAN)
        return Held(memory, memory)
    indexes = (RedisMediaIndex(calls, redis_server.prefix, PLAN) for calls in redis_server.workers())
    return Held(*indexes, redis_server)


def digest(*what: object) -> str:
    return hashlib.sha256(repr(what).encode()).hexdigest()


def looks(picture: int, *turned: int) -> int:
    """The perceptual hash of a picture, some bits turned over."""
    looked = random.Random(picture).getrandbits(64)
    for bit in turned:
        looked ^= 1 << bit
    return looked


def seen(number: int, picture: int | None = None, *turned: int, hours: float = 0.0, **changes: Any) -> EnrolledImage:
    """Submission `number`, of correlation id `number`, `hours` before now; a file of its own unless it is given."""
    fields: dict[str, Any] = {
        "tenant": "acme",
        "correlation_id": f"cid-{number}",
        "submission_id": f"sub-{number}",
        "session_id": f"session-{number}",
        "at_ms": NOW_MS - round(hours * HOUR_MS),
        "bytes_sha256": digest("bytes", number),
        "pixels_sha256": digest("pixels", number),
        "keys": KEYS,
    }
    fields |= changes
    hashes, keys = [fields.pop(name) for name in ("bytes_sha256", "pixels_sha256")], fields.pop("keys")
    look = looks(picture if picture is not None else number, *turned)
    return EnrolledImage(**fields, hashes=keys.hashes(fields["tenant"], *hashes, look, fields["at_ms"]))


async def find_candidates(
    index: MediaIndex, *images: EnrolledImage, within_bits: int = WITHIN
) -> tuple[ImageMatch, ...]:
    """The answer to the last."""
    for each in images:
        hits = await enrol_and_search(index, each, within_bits)
    return hits


def found(hits: Sequence[ImageMatch]) -> list[str]:
    return [hit.submission_id for hit in hits]


async def test_another_picture_is_no_hit(held):
    assert await find_candidates(held.index, *(seen(number) for number in range(8))) == ()


async def test_the_same_file_is_found_with_all_that_is_known(held):
    first = seen(1)
    await find_candidates(held.index, first)
    hits = await find_candidates(held.other_worker, replace(first, correlation_id="cid-2", submission_id="sub-2"))
    assert hits == (
        ImageMatch(
            correlation_id="cid-1",
            submission_id="sub-1",
            session_id="session-1",
            at_ms=first.at_ms,
            kind=MatchKind.SAME_BYTES,
            hamming=0,
        ),
    )


async def test_the_strongest_kind_counts_and_comes_first(held):
    pixels = {"pixels_sha256": digest("one")}
    everything = {**pixels, "bytes_sha256": digest("one")}
    await find_candidates(
        held.index, seen(1, 7, 3, 9), seen(2, 7, **pixels), seen(3, 7, 5), seen(4, 7, **everything), seen(5, 8)
    )
    hits = await find_candidates(held.index, seen(9, 7, **everything))
    assert [(hit.submission_id, hit.kind, hit.hamming) for hit in hits] == [
        ("sub-4", MatchKind.SAME_BYTES, 0),
        ("sub-2", MatchKind.SAME_PIXELS, 0),
        ("sub-3", MatchKind.NEAR_DUPLICATE, 1),
        ("sub-1", MatchKind.NEAR_DUPLICATE, 2),
    ]


@pytest.mark.parametrize("within", [0, 3, 4, MOST_BITS])
async def test_every_distance_up_to_the_bound_is_found_and_none_above(held, within):
    """Bits wrong wherever they are: spread over the bands, or all in one."""
    spread = [tuple(16 * (n % 4) + n // 4 for n in range(bits)) for bits in range(MOST_BITS + 2)]
    heaped = [tuple(range(bits)) for bits in range(MOST_BITS + 2)]
    chance = random.Random(5)
    anywhere = [tuple(chance.sample(range(64), bits)) for bits in range(MOST_BITS + 2) for _ in range(3)]
    turned = [*spread, *heaped, *anywhere]
    await find_candidates(held.index, *(seen(number, 7, *bits) for number, bits in enumerate(turned)))
    hits = await find_candidates(held.index, seen(999, 7), within_bits=within)
    expected = {f"sub-{number}": len(bits) for number, bits in enumerate(turned) if len(bits) <= within}
    assert {hit.submission_id: hit.hamming for hit in hits} == expected


@pytest.mark.parametrize("within", [-1, MOST_BITS + 1])
async def test_a_distance_that_is_not_looked_up_is_refused(held, within):
    with pytest.raises(ValueError, match="7 bits"):
        await enrol_and_search(held.index, seen(1), within)


async def test_the_own_submission_is_left_out_and_what_only_shares_its_id_is_not(held):
    await find_candidates(held.index, seen(1, 7), seen(2, 7, correlation_id="me"))
    assert set(found(await find_candidates(held.index, seen(3, 7, correlation_id="me")))) == {"sub-1", "sub-2"}
    again = await find_candidates(held.index, seen(3, 7, correlation_id="somebody-else", hours=1))
    assert set(found(again)) == {"sub-1", "sub-2", "sub-3"}


async def test_a_submission_seen_twice_is_one_hit(held):
    await find_candidates(held.index, seen(1, 7, hours=2), seen(1, 7, hours=1), seen(1, 7, 5))
    (hit,) = await find_candidates(held.index, seen(2, 7))
    assert (hit.submission_id, hit.hamming, hit.at_ms) == ("sub-1", 0, NOW_MS - HOUR_MS)


async def test_tenants_never_meet(held):
    await find_candidates(held.index, seen(1, 7), seen(2, 7, tenant=None), seen(3, 7, tenant="other"))
    assert found(await find_candidates(held.index, seen(9, 7, tenant=None))) == ["sub-2"]


async def test_the_window_is_of_event_time_to_the_millisecond_and_both_ways(held):
    edge, beyond = PLAN.window_ms, PLAN.window_ms + 1
    for number, offset in enumerate((edge, beyond, -edge, -beyond), start=1):
        await find_candidates(held.index, seen(number, 7, at_ms=NOW_MS - offset))
    assert set(found(await find_candidates(held.index, seen(9, 7)))) == {"sub-1", "sub-3"}


async def test_pictures_on_both_sides_of_a_change_of_keys_meet(held):
    await find_candidates(held.index, seen(1, 7, hours=5))
    assert found(await find_candidates(held.index, seen(2, 7, 3))) == ["sub-1"]
    late = await find_candidates(held.index, seen(3, 7, 4, hours=4), within_bits=2)
    assert set(found(late)) == {"sub-1", "sub-2"}


async def test_what_is_learned_in_bulk_is_found(held):
    await held.index.enrol([seen(number, 7) for number in range(1, 5)])
    await held.index.enrol([])
    assert set(found(await find_candidates(held.other_worker, seen(9, 7)))) == {"sub-1", "sub-2", "sub-3", "sub-4"}


async def test_the_same_sighting_again_changes_nothing(held):
    images = [seen(number, 7) for number in range(4)]
    once = await find_candidates(held.index, *images)
    for _ in range(3):
        assert await find_candidates(held.other_worker, images[3]) == once
    assert len(once) == 3


@pytest.mark.parametrize("turned", [(), (3, 21, 40, 60)], ids=["in one place", "in no place in common"])
async def test_of_two_met_at_the_same_moment_one_finds_the_other(held, turned):
    for number in range(0, 40, 2):
        one, other = seen(number, 500 + number), seen(number + 1, 500 + number, *turned)
        told = await asyncio.gather(
            enrol_and_search(held.index, one, WITHIN), enrol_and_search(held.other_worker, other, WITHIN)
        )
        assert any(told), number


async def test_on_many_nodes_too_one_of_two_finds_the_other(redis_server):
    one, other = (RedisMediaIndex(calls, redis_server.prefix, PLAN) for calls in scattered(redis_server))
    for number in range(0, 30, 2):
        both = seen(number, 500 + number), seen(number + 1, 500 + number, 3, 21, 40, 60)
        told = await asyncio.gather(enrol_and_search(one, both[0], WITHIN), enrol_and_search(other, both[1], WITHIN))
        assert any(told), number


async def test_a_forgotten_correlation_id_leaves_no_picture(held):
    mine = [seen(number, 7, number, correlation_id="me", hours=number) for number in range(5)]
    await find_candidates(held.index, *mine, seen(8, 7), seen(9, 7, correlation_id="me", tenant="other"))
    assert await held.index.held("acme", "me") == 5
    assert await held.index.held(None, "me") == 0
    assert await held.other_worker.forget("acme", "me") == 5
    assert await held.index.held("acme", "me") == 0
    assert await held.index.forget("acme", "me") == 0
    assert found(await find_candidates(held.index, seen(10, 7))) == ["sub-8"]
    assert found(await find_candidates(held.index, seen(11, 7, tenant="other"))) == ["sub-9"]


async def test_forgetting_leaves_no_key(redis_server):
    index = RedisMediaIndex(redis_server.connect(), redis_server.prefix, PLAN)
    await find_candidates(index, *(seen(number, number % 3, correlation_id="me", hours=number) for number in range(9)))
    assert await redis_server.keys()
    await index.forget("acme", "me")
    assert await redis_server.keys() == []


async def test_a_node_that_was_away_while_pictures_were_removed_keeps_none_of_them(redis_server):
    """The record says where its lines are: were it gone first, nobody would come back for them."""
    images = [seen(number, number % 3, correlation_id="me", hours=number) for number in range(5)]
    await RedisMediaIndex(redis_server.connect(), redis_server.prefix, PLAN).enrol(images)
    calls = FaultyRedis(redis_server.connect(), lambda command: command[0] == "ZREM" and "pictures:" in str(command[1]))
    index = RedisMediaIndex(calls, redis_server.prefix, PLAN)
    with pytest.raises(Unavailable):
        await index.forget("acme", "me")
    assert await index.forget("acme", "me") == 5
    assert await redis_server.keys() == []


async def test_many_pictures_of_one_are_forgotten_in_few_round_trips(redis_server):
    index = RedisMediaIndex(counted := Counted(redis_server.connect()), redis_server.prefix, PLAN)
    await index.enrol([seen(number, correlation_id="me") for number in range(PAGE + 1)])
    counted.trips.clear()
    assert await index.forget("acme", "me") == PAGE + 1
    assert len(counted.trips) == 1 + 2 * 4, "a page takes four"


async def test_where_pictures_were_is_forgotten_after_them_though_more_come(redis_server):
    index = RedisMediaIndex(redis_server.connect(), redis_server.prefix, PLAN)
    days = PLAN.life_ms // DAY_MS + 1
    await index.enrol([seen(number, correlation_id="me", at_ms=NOW_MS + number * DAY_MS) for number in range(days + 1)])
    (key,) = [key for key in await redis_server.keys() if ":pictures-of:" in key]
    assert await redis_server.client.zcard(key) == days + 1, "a day more than a picture that was in time"
    await index.enrol([seen(99, correlation_id="me", at_ms=NOW_MS + (days + 4) * DAY_MS)])
    assert await redis_server.client.zcard(key) == days - 2


async def test_a_picture_everybody_sends_stays_small_and_the_newest_are_found(redis_server):
    index = RedisMediaIndex(redis_server.connect(), redis_server.prefix, PLAN)
    blank = [seen(number, 7, hours=0.5 - number / 1000) for number in range(3 * PLAN.most_lines)]
    random.Random(3).shuffle(blank)
    await find_candidates(index, *blank)
    hits = await find_candidates(index, seen(9999, 7))
    newest = sorted(blank, key=lambda each: -each.at_ms)[: PLAN.most_lines - 1]
    assert found(hits) == [each.submission_id for each in newest]
    for key in await redis_server.keys():
        if ":pictures:" in key:
            assert await redis_server.client.zcard(key) <= PLAN.most_lines


async def test_everything_expires(redis_server):
    index = RedisMediaIndex(redis_server.connect(), redis_server.prefix, PLAN)
    await find_candidates(index, seen(1, 7), seen(2, 7))
    keys = await redis_server.keys()
    assert {key.removeprefix(f"{redis_server.prefix}abuse:").partition(":")[0] for key in keys} == {
        *("pictures", "picture", "pictures-of")
    }
    for key in keys:
        assert PLAN.life_ms - 60_000 < await redis_server.client.pttl(key) <= PLAN.life_ms


async def test_lines_out_of_reach_go_though_their_key_is_busy(redis_server):
    index = RedisMediaIndex(redis_server.connect(), redis_server.prefix, PLAN)
    first = seen(1, 7, at_ms=NOW_MS)
    for number in range(6):
        await find_candidates(index, replace(first, submission_id=f"sub-{number}", at_ms=NOW_MS + number * DAY_MS))
    lines = [await redis_server.client.zcard(key) for key in await redis_server.keys() if ":pictures:" in key]
    assert max(lines) == PLAN.life_ms // DAY_MS + 1


async def test_nothing_is_stored_that_confirms_a_known_picture(redis_server):
    index = RedisMediaIndex(redis_server.connect(), redis_server.prefix, PLAN)
    await find_candidates(index, seen(1))
    plain = [
        *(bytes.fromhex(digest(each, 1))[:8] for each in ("bytes", "pixels")),
        looks(1).to_bytes(8, "big"),
        looks(1).to_bytes(8, "little"),
    ]
    spellings = {each for code in plain for each in (code, code.hex().encode(), str(int.from_bytes(code)).encode())}
    for key in await redis_server.keys():
        kind = (await redis_server.client.type(key)).decode()
        held = {
            "zset": lambda k: redis_server.client.zrange(k, 0, -1),
            "set": redis_server.client.smembers,
            "string": redis_server.client.get,
        }[kind]
        told = await held(key)
        text = b" ".join([key.encode(), *([told] if isinstance(told, bytes) else told)])
        assert not [each for each in spellings if each in text], key


class Counted:
    """Calls that remember the commands of each round trip."""

    def __init__(self, calls: RedisClient) -> None:
        self._calls = calls
        self.trips: list[list[Command]] = []

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        if commands:
            self.trips.append(list(commands))
        return await self._calls.execute(commands)

    async def close(self) -> None:
        await self._calls.close()


async def test_with_no_hit_it_takes_two_round_trips_and_with_some_three(redis_server):
    calls, keys = Counted(redis_server.connect()), MediaKeys([HashKey(id="k1", secret=b"1" * 32)], 0)
    index = RedisMediaIndex(calls, redis_server.prefix, PLAN)
    await find_candidates(index, *(seen(number, keys=keys) for number in range(5)))
    for image, within, trips, most in (
        (seen(20, keys=keys), WITHIN, 2, 70),
        (seen(21, keys=keys), 3, 2, 6),
        (seen(22, 2, keys=keys), WITHIN, 3, 70),
    ):
        calls.trips.clear()
        await find_candidates(index, image, within_bits=within)
        assert len(calls.trips) == trips
        assert len(calls.trips[1]) == most
    assert [command[0] for command in calls.trips[2]] == ["GET"]


@pytest.mark.parametrize("which", ["pictures:", "picture:"])
async def test_what_somebody_else_wrote_is_named_by_its_key(redis_server, which):
    index = RedisMediaIndex(redis_server.connect(), redis_server.prefix, PLAN)
    await find_candidates(index, seen(1, 7))
    for key in await redis_server.keys():
        if f":abuse:{which}" in key and which == "pictures:":
            await redis_server.client.zadd(key, {"whatever": NOW_MS})
        elif f":abuse:{which}" in key:
            await redis_server.client.set(key, "whatever")
    with pytest.raises(ForeignValue, match=which):
        await find_candidates(index, seen(2, 7))


@settings(PROPERTY, max_examples=12)
@given(
    told=st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 60), st.sets(st.integers(0, 63), max_size=6)),
        min_size=2,
        max_size=12,
    ),
    seed=st.integers(0, 99),
)
async def test_any_order_repetition_and_lateness_end_in_the_same_hits(held, told, seed):
    images = [seen(n, picture, *turned, hours=hours) for n, (picture, hours, turned) in enumerate(told)]
    expected, fresh, chance = InMemoryMediaIndex(PLAN), held.fresh(), random.Random(seed)
    await find_candidates(expected, *images)
    shuffled = [*images, *(each for each in images if chance.random() < 0.3)]
    chance.shuffle(shuffled)
    edges, wanted = set(), set()
    for number, image in enumerate(shuffled):
        edges |= pairs(image, await enrol_and_search((fresh.index, fresh.other_worker)[number % 2], image, WITHIN))
    for image in images:
        hits = await enrol_and_search(expected, image, WITHIN)
        assert await enrol_and_search(fresh.index, image, WITHIN) == hits
        assert all(one.hamming <= other.hamming for one, other in pairwise(hits))
        wanted |= pairs(image, hits)
    assert edges == wanted, "each pair was found while they came in, whatever the order"


def pairs(image: EnrolledImage, hits: Sequence[ImageMatch]) -> set[frozenset[str]]:
    return {frozenset((image.submission_id, hit.submission_id)) for hit in hits}
