"""The contract of pending detections: in memory, on the embedded Redis, a real one and a real cluster."""

from __future__ import annotations

import asyncio

import pytest

from abuse.redis_port import ForeignValue
from stream.pipeline.join.pending import (
    ERASED,
    PARTS_LIFE_MS,
    Closing,
    InMemoryPendingDetections,
    PendingDetections,
    PendingPart,
    PendingSet,
    set_name,
)
from stream.redis.pending import RedisPendingDetections
from tests.contract.redis_servers import FaultyRedis, Held, PortKind
from tests.unit.stream.builders import GUID, OTHER_GUID, ids

TTL_S = 3600
DUE_MS = 1_000
IDS = ids(tenant="bank-1")
NAME, OTHER = set_name(IDS, "frames:8"), set_name(IDS, "frames:9")

PORT = PortKind(
    in_memory=InMemoryPendingDetections, on_redis=lambda calls, prefix: RedisPendingDetections(calls, prefix, TTL_S)
)


@pytest.fixture
def store(held: Held) -> PendingDetections:
    return held.store


def part(index: int = 0, mark: str = "a", payload: bytes = b"found", **changes: bool) -> PendingPart:
    return PendingPart(slot=f"frame:{index}", digest=mark * 32, payload=payload, **changes)


def closing(*slots: str, by: str | None = None, against: tuple[str, ...] = ()) -> Closing:
    return Closing(slots=slots, against=against, by=None if by is None else (by, "a" * 32))


async def put(store: PendingDetections, *parts: PendingPart) -> PendingSet:
    for each in parts:
        state = await store.put(NAME, IDS, each, DUE_MS)
    return state


async def test_parts_in_any_order_and_twice(held):
    assert (await put(held.store, part(3))).slots == {"frame:3"}
    assert (await put(held.other_worker, part(0))).slots == {"frame:3", "frame:0"}
    again = await put(held.store, part(3, payload=b"\x00\xff another reading of the same"))
    assert (again.slots, again.against, again.closing) == ({"frame:3", "frame:0"}, frozenset(), None)
    _, parts = await held.store.read(NAME)
    assert parts == {"frame:3": ("a" * 32, b"found"), "frame:0": ("a" * 32, b"found")}


async def test_other_content_marks_the_slot(held):
    await put(held.store, part(3))
    assert (await put(held.other_worker, part(3, "b", b"other"))).against == {"frame:3"}
    state, parts = await held.store.read(NAME)
    assert (state.against, parts["frame:3"]) == ({"frame:3"}, ("a" * 32, b"found"))


async def test_refused_part_ends_waiting(store):
    assert not (await put(store, part(0))).ends
    assert (await put(store, part(1, ends=True))).ends
    assert (await put(store, part(2))).ends


async def test_one_closes(held):
    await put(held.store, part(0), part(1))
    offers = [closing("frame:0", "frame:1", by=f"frame:{number}") for number in range(20)]
    stores = (held.store, held.other_worker)
    told = await asyncio.gather(*(stores[n % 2].close(NAME, offer) for n, offer in enumerate(offers)))
    assert {each for each, _ in told} < set(offers)
    assert len({each for each, _ in told}) == 1
    assert all(set(parts) == {"frame:0", "frame:1"} for _, parts in told)


async def test_closed_set_takes_nothing(store):
    await put(store, part(0))
    await store.close(NAME, closing("frame:0"))
    for late in (part(1), part(0, "b"), part(0)):
        state = await put(store, late)
        assert (state.closing, state.against) == (closing("frame:0"), frozenset())
    assert (await store.read(NAME))[1] == {"frame:0": ("a" * 32, b"found")}


async def test_settled_set_keeps_its_closing_alone(store):
    await put(store, part(0), part(1))
    await store.close(NAME, closing("frame:0", "frame:1", by="frame:1"))
    await store.settle(NAME, "f" * 32, ["frame:0", "frame:1"])
    again = await put(store, part(1))
    assert (again.closing, again.settled) == (closing("frame:0", "frame:1", by="frame:1"), "f" * 32)
    assert (await store.read(NAME))[1] == {}


async def test_first_deadline_counts(store):
    await store.put(NAME, IDS, part(0), DUE_MS)
    await store.put(NAME, IDS, part(1), DUE_MS + 500)
    await store.put(OTHER, IDS, part(0), DUE_MS + 500)
    assert await store.due(DUE_MS - 1, 10) == []
    assert await store.due(DUE_MS, 10) == [NAME]
    assert await store.due(DUE_MS + 500, 10) == [NAME, OTHER]
    assert await store.due(DUE_MS + 500, 1) == [NAME]
    await store.close(NAME, closing("frame:0"))
    await store.settle(NAME, "f" * 32, ["frame:0"])
    await store.drop(OTHER)
    assert await store.due(DUE_MS + 500, 10) == []


async def test_part_without_deadline(store):
    """A detector group's part that comes before the submission's own detection."""
    await store.put(NAME, IDS, part(0), None)
    assert await store.due(2**50, 10) == []


async def test_unknown_set(store):
    assert await store.read(NAME) == (PendingSet(), {})
    await store.drop(NAME)


async def test_workers_that_tried(held):
    await put(held.store, part(0))
    assert [await held.store.tried(NAME, "one"), await held.store.tried(NAME, "one")] == [1, 1]
    assert await held.other_worker.tried(NAME, "two") == 2
    assert (await held.store.read(NAME))[1] == {"frame:0": ("a" * 32, b"found")}


async def test_turn(held):
    assert await held.store.take_turn("one", 60_000)
    assert not await held.other_worker.take_turn("two", 60_000)
    assert await held.store.take_turn("one", 60_000)


async def test_erasure(held):
    await put(held.store, part(0))
    await held.store.put(OTHER, ids(tenant="bank-1", correlation_id=OTHER_GUID), part(0), DUE_MS)
    assert await held.store.listed("bank-1", GUID) == [NAME]
    assert (await held.store.listed("bank-2", GUID), await held.store.listed(None, GUID)) == ([], [])
    await held.store.discard(NAME)
    assert await held.other_worker.read(NAME) == (PendingSet(), {})
    assert await held.store.due(DUE_MS, 10) == [OTHER]
    await held.store.unlist("bank-1", GUID, [NAME])
    assert await held.other_worker.listed("bank-1", GUID) == []


async def test_slots_discarded(store):
    """Also the marks that they were taken twice; a part that came meanwhile stays with its deadline."""
    await put(store, PendingPart(slot="depth:0", digest="a" * 32, payload=b"found"), part(0))
    await put(store, PendingPart(slot="depth:0", digest="b" * 32, payload=b"other"))
    await store.discard(NAME, ["depth:0"])
    state, parts = await store.read(NAME)
    assert (state.against, parts) == (frozenset(), {"frame:0": ("a" * 32, b"found")})
    assert await store.due(DUE_MS, 10) == [NAME]


async def test_answer_in_place_of_parts(held):
    """The first answer stays and is due at once; parts that come later change nothing. Settled, it is gone."""
    await put(held.store, part(0), part(1, ends=True))
    assert (await held.store.close(NAME, ERASED))[0] == ERASED
    await held.store.owe(NAME, "answer é")
    await held.other_worker.owe(NAME, "another")
    assert await held.store.due(0, 10) == [NAME]
    assert (await put(held.other_worker, part(2))).closing == ERASED
    state, parts = await held.store.read(NAME)
    assert (state.owed, state.ends, parts) == ("answer é", False, {})
    await held.store.settle(NAME, "", parts)
    state, _ = await held.store.read(NAME)
    assert (state.closing, state.owed, state.settled) == (ERASED, None, "")
    assert await held.store.due(2**50, 10) == []


async def test_everything_expires(on_redis):
    await put(on_redis.store, part(0), part(1, ends=True))
    await on_redis.store.close(NAME, closing("frame:0"))
    await on_redis.store.settle(NAME, "f" * 32, ["frame:0"])
    await on_redis.store.settle(OTHER, "f" * 32, [])  # erased meanwhile
    await on_redis.store.take_turn("one", 60_000)
    keys = await on_redis.redis.keys()
    assert len(keys) == 4
    for key in keys:
        assert 0 < await on_redis.redis.client.pttl(key) <= TTL_S * 1000 + PARTS_LIFE_MS, key


async def test_deadline_lives_as_long_as_the_set(on_redis):
    """Workers that were away a whole night find what they have to decide."""
    await put(on_redis.store, part(0))
    keys = [key for key in await on_redis.redis.keys() if "join:" in key or "join-due" in key]
    lives = [await on_redis.redis.client.pttl(key) for key in keys]
    assert (len(lives), max(lives) - min(lives) < 60_000) == (2, True)


async def test_keys_hold_no_id(on_redis):
    await put(on_redis.store, part(0))
    held = {key for key in await on_redis.redis.keys() if "join-of" not in key}
    assert not any("bank" in key or GUID in key for key in held)


async def test_late_part_leaves_nothing(on_redis):
    await put(on_redis.store, part(0))
    await on_redis.store.close(NAME, closing("frame:0"))
    await put(on_redis.store, part(1))
    (key,) = [each for each in await on_redis.redis.keys() if "join:{" in each]
    assert b"frame:1" not in await on_redis.redis.client.hkeys(key)


@pytest.mark.parametrize("failing", ["HSETNX", "HKEYS", "ZADD"])
async def test_lost_reply_changes_nothing(on_redis, failing):
    """The batch is sent again: the part is found in its slot, and is no other content."""
    calls = FaultyRedis(on_redis.redis.connect(), lambda command: command[0] == failing)
    store = RedisPendingDetections(calls, on_redis.redis.prefix, TTL_S)
    with pytest.raises(Exception, match="redis"):
        await put(store, part(0))
    state = await put(store, part(0))
    assert (state.slots, state.against) == ({"frame:0"}, frozenset())


async def test_foreign_value_is_loud(on_redis):
    await put(on_redis.store, part(0))
    (key,) = [each for each in await on_redis.redis.keys() if "join:{" in each]
    await on_redis.redis.client.hset(key, "closed", b"{}")
    with pytest.raises(ForeignValue, match="delete it"):
        await put(on_redis.store, part(1))
