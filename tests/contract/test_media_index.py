"""The image index beyond the contract of both indexes (`test_reuse_indexes`): kinds of match, bits, bounded keys."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from abuse.event_time import DAY_MS
from abuse.keys.key_periods import HashKey
from abuse.pictures.media_index import MOST_BITS, MatchKind
from abuse.pictures.media_keys import MediaKeys
from abuse.pictures.redis_media_index import PAGE, RedisMediaIndex
from abuse.redis_port import ForeignValue, RedisClient
from config.errors import Unavailable
from tests.contract.index_cases import MEDIA_PLAN as PLAN
from tests.contract.index_cases import PICTURES, digest, ids, perceptual, search
from tests.contract.index_cases import image_of as seen
from tests.contract.redis_servers import CountedRedis, FaultyRedis, RedisServer
from tests.instants import NOW_MS

PORT = PICTURES


@pytest.fixture
def index(redis_server: RedisServer) -> RedisMediaIndex:
    return on(redis_server)


def on(redis_server: RedisServer, calls: RedisClient | None = None) -> RedisMediaIndex:
    return RedisMediaIndex(calls or redis_server.connect(), redis_server.prefix, PLAN)


async def test_best_kind_counts_first(held):
    pixels, both = {"pixels": digest("one")}, {"pixels": digest("one"), "file": digest("one")}
    await held.store.enrol(
        [seen(1, 7, flipped=(3, 9)), seen(2, 7, **pixels), seen(3, 7, flipped=(5,)), seen(4, 7, **both), seen(5, 8)]
    )
    assert [(each.submission_id, each.kind, each.hamming) for each in await search(held.store, seen(9, 7, **both))] == [
        ("sub-4", MatchKind.SAME_BYTES, 0),
        ("sub-2", MatchKind.SAME_PIXELS, 0),
        ("sub-3", MatchKind.NEAR_DUPLICATE, 1),
        ("sub-1", MatchKind.NEAR_DUPLICATE, 2),
    ]


@pytest.mark.parametrize("within", [0, 3, 4, MOST_BITS])
async def test_bits_are_exact(held, within):
    """Wherever the wrong bits are: spread over the bands, or all in one."""
    counts, chance = range(MOST_BITS + 2), random.Random(5)
    spread = [tuple(16 * (n % 4) + n // 4 for n in range(bits)) for bits in counts]
    heaped = [tuple(range(bits)) for bits in counts]
    anywhere = [tuple(chance.sample(range(64), bits)) for bits in counts for _ in range(3)]
    flipped = [*spread, *heaped, *anywhere]
    await held.store.enrol([seen(number, 7, flipped=bits) for number, bits in enumerate(flipped)])
    expected = {f"sub-{number}": len(bits) for number, bits in enumerate(flipped) if len(bits) <= within}
    found = await search(held.store, seen(999, 7), within=within)
    assert {each.submission_id: each.hamming for each in found} == expected
    for wrong in (-1, MOST_BITS + 1):
        with pytest.raises(ValueError, match="7 bits"):
            await search(held.store, seen(1), within=wrong)


async def test_own_submission_is_left_out(held):
    """A submission with the same id of another correlation id is not."""
    await search(held.store, seen(1, 7), seen(2, 7, correlation_id="me"))
    assert set(ids(await search(held.store, seen(3, 7, correlation_id="me")))) == {"sub-1", "sub-2"}
    again = await search(held.store, seen(3, 7, 1, correlation_id="somebody-else"))
    assert set(ids(again)) == {"sub-1", "sub-2", "sub-3"}


async def test_submission_enrolled_twice_matches_once(held):
    await held.store.enrol([seen(1, 7, 2), seen(1, 7, 1), seen(1, 7, flipped=(5,))])
    (match,) = await search(held.store, seen(2, 7))
    assert (match.submission_id, match.hamming, match.at_ms) == ("sub-1", 0, seen(1, 7, 1).at_ms)


async def test_key_change_hides_no_picture(held):
    await search(held.store, seen(1, 7, 5))
    assert ids(await search(held.store, seen(2, 7, flipped=(3,)))) == ["sub-1"]
    late = await search(held.store, seen(3, 7, 4, flipped=(4,)), within=2)
    assert set(ids(late)) == {"sub-1", "sub-2"}


async def test_interrupted_forgetting_continues(redis_server, index):
    """The record says where its lines are: were it removed first, a node that was away would keep lines for ever."""
    await index.enrol([seen(number, number % 3, number, correlation_id="me") for number in range(5)])
    calls = FaultyRedis(redis_server.connect(), lambda command: command[0] == "ZREM" and "pictures:" in str(command[1]))
    with pytest.raises(Unavailable):
        await on(redis_server, calls).forget("acme", "me")
    assert await on(redis_server, calls).forget("acme", "me") == 5
    assert await redis_server.keys() == []


async def test_forgetting_goes_by_pages(redis_server):
    index = on(redis_server, counted := CountedRedis(redis_server.connect()))
    await index.enrol([seen(number, correlation_id="me") for number in range(PAGE + 1)])
    counted.trips.clear()
    assert await index.forget("acme", "me") == PAGE + 1
    assert len(counted.trips) == 1 + 2 * 4, "a page takes four"


async def test_traces_expire_while_more_come(redis_server, index):
    days = PLAN.life_ms // DAY_MS + 1
    await index.enrol([seen(number, correlation_id="me", at_ms=NOW_MS + number * DAY_MS) for number in range(days + 1)])
    (key,) = [key for key in await redis_server.keys() if ":pictures-of:" in key]
    assert await redis_server.client.zcard(key) == days + 1, "a day more than a picture that was in time"
    await index.enrol([seen(99, correlation_id="me", at_ms=NOW_MS + (days + 4) * DAY_MS)])
    assert await redis_server.client.zcard(key) == days - 2


async def lines(redis_server: RedisServer) -> list[int]:
    return [await redis_server.client.zcard(key) for key in await redis_server.keys() if ":pictures:" in key]


async def test_common_picture_stays_bounded(redis_server, index):
    """Of a picture that everybody sends, the newest are found."""
    blank = [seen(number, 7, 0.5 - number / 1000) for number in range(3 * PLAN.most_lines)]
    random.Random(3).shuffle(blank)
    await search(index, *blank)
    newest = sorted(blank, key=lambda each: -each.at_ms)[: PLAN.most_lines - 1]
    assert ids(await search(index, seen(9999, 7))) == [each.submission_id for each in newest]
    assert max(await lines(redis_server)) <= PLAN.most_lines


async def test_lines_expire_while_more_come(redis_server, index):
    first = seen(1, 7, at_ms=NOW_MS)
    for number in range(6):
        await index.enrol([replace(first, submission_id=f"sub-{number}", at_ms=NOW_MS + number * DAY_MS)])
    assert max(await lines(redis_server)) == PLAN.life_ms // DAY_MS + 1
    for key in await redis_server.keys():
        assert PLAN.life_ms - 60_000 < await redis_server.client.pttl(key) <= PLAN.life_ms


async def test_stored_values_confirm_no_picture(redis_server, index):
    await index.enrol([seen(1)])
    plain = [
        *(bytes.fromhex(digest(each, 1))[:8] for each in ("bytes", "pixels")),
        *(perceptual(1).to_bytes(8, order) for order in ("big", "little")),
    ]
    spellings = {each for code in plain for each in (code, code.hex().encode(), str(int.from_bytes(code)).encode())}
    for key in await redis_server.keys():
        is_set = await redis_server.client.type(key) == b"zset"
        stored = await (redis_server.client.zrange(key, 0, -1) if is_set else redis_server.client.get(key))
        text = b" ".join([key.encode(), *(stored if is_set else [stored])])
        assert not [each for each in spellings if each in text], key


@pytest.mark.parametrize(("within", "commands"), [(6, 70), (3, 6)])
async def test_commands_of_a_search(redis_server, within, commands):
    calls, keys = CountedRedis(redis_server.connect()), MediaKeys([HashKey(id="k1", secret=b"1" * 32)], 0)
    await search(on(redis_server, calls), seen(20, keys=keys), within=within)
    assert len(calls.trips[1]) == commands


@pytest.mark.parametrize("which", ["pictures:", "picture:"])
async def test_foreign_value_is_named(redis_server, index, which):
    await index.enrol([seen(1, 7)])
    for key in [key for key in await redis_server.keys() if f":abuse:{which}" in key]:
        if which == "pictures:":
            await redis_server.client.zadd(key, {"whatever": NOW_MS})
        else:
            await redis_server.client.set(key, "whatever")
    with pytest.raises(ForeignValue, match=which):
        await search(index, seen(2, 7))
