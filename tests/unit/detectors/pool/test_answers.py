"""Pictures arrive whole, answers come back to whom they belong."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random

import pytest

from config.error_codes import ErrorCode
from detectors.contract import MAX_FRAMES, Analysis, Frame
from tests.unit.detectors.pool.fakes import one, picture


@pytest.mark.parametrize("size", [0, 1, 4096, 64 * 1024, 300_000, 10 * 1024 * 1024])
async def test_pictures_arrive_unchanged(make_pool, size):
    pool = await make_pool()
    image = (b"echo\n" + os.urandom(size))[:size]
    analysis = await one(pool, image)
    assert analysis.notes == (hashlib.sha256(image).hexdigest(), str(size))


async def test_a_picture_shows_nothing_before(make_pool):
    pool = await make_pool()
    await one(pool, picture("echo", "", b"x" * 100_000))
    short = picture("echo", "short")
    assert (await one(pool, short)).notes[0] == hashlib.sha256(short).hexdigest()


async def test_concurrent_answers_stay_apart(make_pool):
    pool = await make_pool(slots=3)
    sizes = random.Random(7)
    images = [picture("echo", n, os.urandom(sizes.choice((10, 5_000, 400_000)))) for n in range(200)]
    answers = await asyncio.gather(*(one(pool, image) for image in images))
    for n, (image, answer) in enumerate(zip(images, answers, strict=True)):
        assert isinstance(answer, Analysis)
        assert answer.message == str(n)
        assert answer.notes[0] == hashlib.sha256(image).hexdigest()


async def test_slots_share_the_work(make_pool):
    pool = await make_pool(slots=2)
    answers = await asyncio.gather(*(one(pool, picture("pid")) for _ in range(20)))
    pids = {int(answer.notes[0]) for answer in answers}
    assert pids == {slot.pid for slot in pool.stats().slots}
    assert os.getpid() not in pids


async def test_memoryviews_are_pictures(make_pool):
    pool = await make_pool()
    assert (await one(pool, memoryview(picture("echo", "view")))).message == "view"


async def test_too_large_pictures_are_refused(make_pool):
    pool = await make_pool(max_image_bytes=1000)
    refused = await one(pool, b"x" * 1001)
    assert refused.error is ErrorCode.IMAGE_TOO_LARGE
    assert (await one(pool, picture("echo", "fits"))).message == "fits"


async def test_each_frame_has_its_analysis(make_pool):
    """In the order of the frames, from one slot; only the first tells the wait for the slot."""
    pool = await make_pool(slots=2)
    frames = [Frame(picture("echo", n, os.urandom(n * 70_000))) for n in range(5)]
    analyses = await pool.analyse(frames)
    assert [each.message for each in analyses] == [str(n) for n in range(5)]
    assert [each.notes[0] for each in analyses] == [hashlib.sha256(frame.image).hexdigest() for frame in frames]
    assert ["slot_wait" in each.elapsed_ms for each in analyses] == [True] + [False] * 4
    assert sum(slot.jobs for slot in pool.stats().slots) == 1


@pytest.mark.parametrize("count", [0, MAX_FRAMES + 1])
async def test_frame_count_is_bounded(make_pool, count):
    pool = await make_pool()
    with pytest.raises(ValueError, match="1 to 16 frames"):
        await pool.analyse([Frame(b"x")] * count)


async def test_frames_share_one_block(make_pool):
    pool = await make_pool(max_image_bytes=1000)
    refused = await pool.analyse([Frame(b"x" * 600), Frame(b"x" * 401)])
    assert [each.error for each in refused] == [ErrorCode.IMAGE_TOO_LARGE] * 2


async def test_raising_frame_replaces_slot(make_pool):
    pool = await make_pool()
    analyses = await pool.analyse([Frame(picture("raises")), Frame(picture("echo", "fine"))])
    assert [each.message for each in analyses] == ["LookupError", "fine"]
    assert (await one(pool, picture("echo", "next"))).message == "next"
    assert pool.stats().restarts == {"raised": 1}


async def test_the_view_is_read_only(make_pool):
    pool = await make_pool()
    assert (await one(pool, picture("write"))).message == "TypeError"


@pytest.mark.parametrize(
    ("command", "type_name"),
    [("raises", "LookupError"), ("no_analysis", "AttributeError"), ("not_finite", "MalformedAnalysis")],
)
async def test_exceptions_name_their_type_only(make_pool, until, command, type_name):
    pool = await make_pool()
    failed = await one(pool, picture(command, "secret"))
    assert (failed.error, failed.message) == (ErrorCode.INFERENCE_ERROR, type_name)
    assert (await one(pool, picture("echo", "next"))).message == "next"
    assert pool.stats().restarts == {"raised": 1}


async def test_cpu_and_wait_are_reported(make_pool, tmp_path, until):
    pool = await make_pool()
    gate = tmp_path / "gate"
    first = asyncio.create_task(one(pool, picture("gate", gate)))
    await until(lambda: os.path.exists(f"{gate}.begun"))
    second = asyncio.create_task(one(pool, picture("cpu", 0.3)))
    await until(lambda: pool.stats().queued == 1)
    assert pool.stats().busy == 1
    waited = asyncio.get_running_loop().time()
    await until(lambda: asyncio.get_running_loop().time() - waited > 0.05)
    gate.touch()
    assert (await first).elapsed_ms["slot_wait"] < (await second).elapsed_ms["slot_wait"]
    assert (await second).elapsed_ms["slot_wait"] >= 50
    assert 50 < (await second).cpu_ms < 1000


async def test_pictures_are_taken_in_order(make_pool, tmp_path, until):
    pool = await make_pool()
    gate, order = tmp_path / "gate", []
    first = asyncio.create_task(one(pool, picture("gate", gate)))
    await until(lambda: os.path.exists(f"{gate}.begun"))

    async def numbered(n: int) -> None:
        order.append((await one(pool, picture("echo", n))).message)

    rest = [asyncio.create_task(numbered(n)) for n in range(10)]
    await until(lambda: pool.stats().queued == 10)
    gate.touch()
    await asyncio.gather(first, *rest)
    assert order == [str(n) for n in range(10)]


async def test_cancelled_pictures_cost_no_other(make_pool, tmp_path, until):
    pool = await make_pool()
    gate, marker = tmp_path / "gate", tmp_path / "spun"
    running = asyncio.create_task(one(pool, picture("gate", gate)))
    await until(lambda: os.path.exists(f"{gate}.begun"))
    waiting = asyncio.create_task(one(pool, picture("spin_c", marker)))
    await until(lambda: pool.stats().queued == 1)
    running.cancel()
    waiting.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)
    gate.touch()
    assert (await one(pool, picture("echo", "third"))).message == "third"
    assert not marker.exists()
    assert pool.stats().restarts == {}
