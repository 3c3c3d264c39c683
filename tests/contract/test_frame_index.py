"""The frame index: the first capture of a frame keeps it, in any order and however often a capture is claimed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abuse.pictures.frame_index import Capture, InMemoryFrameIndex, ShownBefore
from abuse.pictures.media_index import MediaPlan
from abuse.pictures.media_keys import KeyedImageHashes
from abuse.pictures.redis_frame_index import FRAME, RedisFrameIndex
from abuse.redis_port import ForeignValue
from tests.contract.redis_servers import PROPERTY, PortKind
from tests.instants import NOW_MS

PLAN = MediaPlan()
PORT = PortKind(in_memory=InMemoryFrameIndex, on_redis=lambda calls, prefix: RedisFrameIndex(calls, prefix, PLAN))


def hashes(number: int, **changes: int) -> KeyedImageHashes:
    return KeyedImageHashes(
        **{"key_id": "k1", "bytes": number, "pixels": number, "perceptual": 2**63 + number, **changes}
    )


def capture(number: int, *frames: int, **changes: object) -> Capture:
    fields = {
        "tenant": "acme",
        "correlation_id": f"cid-{number}",
        "session_id": f"session-{number}",
        "submission_id": f"sub-{number}",
        "hashes": tuple(map(hashes, frames)),
        **changes,
    }
    return Capture(**fields)


async def claimed(held, one: Capture) -> tuple[int, int]:
    shown = await held.store.claim(one, NOW_MS)
    assert shown == await held.other_worker.claim(one, NOW_MS)  # asked again, on another worker
    return shown.pixels, shown.perceptual


async def test_first_capture_keeps_a_frame(held):
    assert await claimed(held, capture(1, 1, 2, 3)) == (0, 0)
    assert await claimed(held, capture(2, 3, 4, 5)) == (1, 1)
    assert await claimed(held, capture(1, 1, 2, 3)) == (0, 0)
    assert await claimed(held, capture(3, 1, 4, 6)) == (2, 2)


async def test_frame_from_before_a_change_of_keys(held):
    """Found under the former key, and claimed under the new one alone: the next capture finds each once."""
    await claimed(held, capture(1, 1, 2))
    changed = tuple(hashes(number, key_id="k2") for number in (1, 2, 3))
    former = tuple(map(hashes, (1, 2, 3)))
    assert await claimed(held, capture(2, hashes=changed, others=former)) == (2, 2)
    assert await claimed(held, capture(3, 3)) == (0, 0)
    assert await claimed(held, capture(4, hashes=changed, others=former)) == (3, 3)


OTHERS = {
    "another attempt of the session": ({"session_id": "session-1", "correlation_id": "cid-1"}, (2, 2)),
    "another session of the person": ({"correlation_id": "cid-1"}, (2, 2)),
    "another tenant": ({"tenant": None}, (0, 0)),
    "another key": ({"hashes": (hashes(1, key_id="k2"), hashes(2, key_id="k2"))}, (0, 0)),
    "compressed anew": ({"hashes": (hashes(1, pixels=91), hashes(2, pixels=92))}, (0, 2)),
    "other pictures": ({"hashes": (hashes(7), hashes(8))}, (0, 0)),
}


@pytest.mark.parametrize(("changes", "expected"), OTHERS.values(), ids=OTHERS)
async def test_shown_before(held, changes, expected):
    await claimed(held, capture(1, 1, 2))
    assert await claimed(held, capture(2, 1, 2, **changes)) == expected


async def test_frame_repeated_within_a_capture(held):
    """Repeats within one capture are no replay of another."""
    assert await claimed(held, capture(1, 1, 1, 1)) == (0, 0)
    assert await held.store.held("acme", "cid-1") == 2


async def test_forgotten_with_its_correlation_id(held):
    await claimed(held, capture(1, 1, 2))
    await claimed(held, capture(2, 3))
    assert [await held.store.held("acme", name) for name in ("cid-1", "cid-2", "cid-3")] == [4, 2, 0]
    assert [await held.store.held(None, "cid-1"), await held.store.forget(None, "cid-1")] == [0, 0]
    assert await held.store.forget("acme", "cid-1") == 4
    assert await held.store.held("acme", "cid-1") == 0
    assert await claimed(held, capture(4, 1, 2)) == (0, 0)
    assert await claimed(held, capture(4, 3)) == (1, 1)


@PROPERTY
@given(st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 5), min_size=1)), max_size=8))
async def test_like_a_table_of_first_captures(held, steps):
    """A frame belongs to its first capture, in any order of captures."""
    fresh, first = held.fresh(), dict[int, str]()
    for number, frames in steps:
        one = capture(number, *sorted(frames))
        others = sum(first.setdefault(frame, one.owner) != one.owner for frame in frames)
        assert await fresh.store.claim(one, NOW_MS) == ShownBefore(pixels=others, perceptual=others)


async def test_frames_expire(redis_server):
    index = RedisFrameIndex(redis_server.connect(), redis_server.prefix, replace(PLAN, window_ms=3_600_000))
    await index.claim(capture(1, 1), NOW_MS)
    keys = [key async for key in redis_server.client.scan_iter(f"{redis_server.prefix}*")]
    assert len(keys) == 3
    for key in keys:
        assert 0 < await redis_server.client.pttl(key) <= 3_600_000 + 86_400_000


async def test_foreign_value_is_told(redis_server):
    key = FRAME.key(redis_server.prefix, "acme", "p|k1|0000000000000001")
    await redis_server.client.set(key, b"somebody else's")
    with pytest.raises(ForeignValue, match="abuse:frame"):
        await RedisFrameIndex(redis_server.connect(), redis_server.prefix, PLAN).claim(capture(1, 1), NOW_MS)
