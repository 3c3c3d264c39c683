"""Pictures arrive whole, answers come back to whom they belong."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random

import pytest

from config.error_codes import ErrorCode
from detectors.contract import Analysis
from tests.unit.detectors_pool.fakes import picture


@pytest.mark.parametrize("size", [0, 1, 4096, 64 * 1024, 300_000, 10 * 1024 * 1024])
async def test_a_picture_of_any_size_arrives_unchanged(make_pool, size):
    pool = await make_pool()
    image = (b"echo\n" + os.urandom(size))[:size]
    analysis = await pool.analyse(image)
    assert analysis.notes == (hashlib.sha256(image).hexdigest(), str(size))


async def test_a_short_picture_after_a_long_one_shows_nothing_of_it(make_pool):
    pool = await make_pool()
    await pool.analyse(picture("echo", "", b"x" * 100_000))
    short = picture("echo", "short")
    assert (await pool.analyse(short)).notes[0] == hashlib.sha256(short).hexdigest()


async def test_many_at_once_keep_their_answers_apart(make_pool):
    pool = await make_pool(slots=3)
    sizes = random.Random(7)
    images = [picture("echo", n, os.urandom(sizes.choice((10, 5_000, 400_000)))) for n in range(200)]
    answers = await asyncio.gather(*map(pool.analyse, images))
    for n, (image, answer) in enumerate(zip(images, answers, strict=True)):
        assert isinstance(answer, Analysis)
        assert answer.message == str(n)
        assert answer.notes[0] == hashlib.sha256(image).hexdigest()


async def test_the_slots_share_the_work_and_never_the_worker(make_pool):
    pool = await make_pool(slots=2)
    answers = await asyncio.gather(*(pool.analyse(picture("pid")) for _ in range(20)))
    pids = {int(answer.notes[0]) for answer in answers}
    assert pids == {slot.pid for slot in pool.stats().slots}
    assert os.getpid() not in pids


async def test_a_memoryview_is_a_picture_too(make_pool):
    pool = await make_pool()
    assert (await pool.analyse(memoryview(picture("echo", "view")))).message == "view"


async def test_a_picture_that_is_larger_than_a_block_is_refused(make_pool):
    pool = await make_pool(max_image_bytes=1000)
    refused = await pool.analyse(b"x" * 1001)
    assert refused.error is ErrorCode.IMAGE_TOO_LARGE
    assert (await pool.analyse(picture("echo", "fits"))).message == "fits"


async def test_the_view_is_read_only(make_pool):
    pool = await make_pool()
    assert (await pool.analyse(picture("write"))).message == "TypeError"


@pytest.mark.parametrize(
    ("command", "type_name"),
    [("raises", "LookupError"), ("no_analysis", "AttributeError"), ("not_finite", "MalformedAnalysis")],
)
async def test_an_exception_is_a_failed_analysis_that_names_its_type_only(make_pool, until, command, type_name):
    pool = await make_pool()
    failed = await pool.analyse(picture(command, "secret"))
    assert (failed.error, failed.message) == (ErrorCode.INFERENCE_ERROR, type_name)
    assert (await pool.analyse(picture("echo", "next"))).message == "next"
    assert pool.stats().restarts == {"raised": 1}


async def test_cpu_and_queue_time_are_reported(make_pool, tmp_path, until):
    pool = await make_pool()
    gate = tmp_path / "gate"
    first = asyncio.create_task(pool.analyse(picture("gate", gate)))
    await until(lambda: os.path.exists(f"{gate}.begun"))
    second = asyncio.create_task(pool.analyse(picture("cpu", 0.3)))
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
    first = asyncio.create_task(pool.analyse(picture("gate", gate)))
    await until(lambda: os.path.exists(f"{gate}.begun"))

    async def numbered(n: int) -> None:
        order.append((await pool.analyse(picture("echo", n))).message)

    rest = [asyncio.create_task(numbered(n)) for n in range(10)]
    await until(lambda: pool.stats().queued == 10)
    gate.touch()
    await asyncio.gather(first, *rest)
    assert order == [str(n) for n in range(10)]


async def test_a_cancelled_picture_costs_nobody_else(make_pool, tmp_path, until):
    pool = await make_pool()
    gate, marker = tmp_path / "gate", tmp_path / "spun"
    running = asyncio.create_task(pool.analyse(picture("gate", gate)))
    await until(lambda: os.path.exists(f"{gate}.begun"))
    waiting = asyncio.create_task(pool.analyse(picture("spin_c", marker)))
    await until(lambda: pool.stats().queued == 1)
    running.cancel()
    waiting.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)
    gate.touch()
    assert (await pool.analyse(picture("echo", "third"))).message == "third"
    assert not marker.exists()
    assert pool.stats().restarts == {}
