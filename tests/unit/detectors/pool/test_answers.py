"""Pictures arrive whole, answers come back to whom they belong."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random

import pytest

from config.catalogues.error_codes import ErrorCode
from detectors.contract import MAX_FRAMES, Frame
from tests.unit.detectors.pool.fakes import one, picture


async def test_pictures_arrive_unchanged(pool):
    for size in (10 * 1024 * 1024, 0, 1, 4096, 300_000, 64 * 1024):
        image = (b"echo\n" + os.urandom(size))[:size]
        for view in (image, memoryview(image)):
            assert (await one(pool, view)).notes == (hashlib.sha256(image).hexdigest(), str(size))


async def test_concurrent_answers_stay_apart(make_pool):
    pool = await make_pool(slots=3)
    sizes = random.Random(7)
    images = [picture("echo", n, os.urandom(sizes.choice((10, 5_000, 400_000)))) for n in range(200)]
    answers = await asyncio.gather(*(one(pool, image) for image in images))
    told = [(answer.message, answer.notes[0]) for answer in answers]
    assert told == [(str(n), hashlib.sha256(image).hexdigest()) for n, image in enumerate(images)]
    assert all(slot.jobs for slot in pool.stats().slots), "the slots share the work"


async def test_each_frame_has_its_analysis(make_pool):
    """Analyses come in the order of the frames, from one slot; only the first tells the wait for the slot."""
    pool = await make_pool(slots=2)
    frames = [Frame(picture("echo", n, os.urandom(n * 70_000))) for n in range(5)]
    analyses = await pool.analyse(frames)
    assert [each.message for each in analyses] == [str(n) for n in range(5)]
    assert [each.notes[0] for each in analyses] == [hashlib.sha256(frame.image).hexdigest() for frame in frames]
    assert ["slot_wait" in each.elapsed_ms for each in analyses] == [True] + [False] * 4
    assert sum(slot.jobs for slot in pool.stats().slots) == 1


async def test_measures_are_asked_for_by_the_job(make_pool):
    """The same slot measures a job and not the next, and a second attempt measures what the first should have."""
    pool = await make_pool(slots=1)
    frames = [Frame(picture("echo", n)) for n in range(3)]
    for measured in (True, False, True):
        answers = await pool.analyse(frames, measured=measured)
        assert [each.notes[0] == "measured" for each in answers] == [measured] * 3
    (pid,) = (slot.pid for slot in pool.stats().slots)
    (again,) = await pool.analyse([Frame(picture("flake", pid))], measured=True)
    assert (again.message, again.notes[0]) == ("second time", "measured")


async def test_frames_share_one_block(make_pool):
    pool = await make_pool(max_image_bytes=1000)
    for count in (0, MAX_FRAMES + 1):
        with pytest.raises(ValueError, match="1 to 16 frames"):
            await pool.analyse([Frame(b"x")] * count)
    for sizes in ((1001,), (600, 401)):
        refused = await pool.analyse([Frame(b"x" * size) for size in sizes])
        assert {each.error for each in refused} == {ErrorCode.IMAGE_TOO_LARGE}
        assert len(refused) == len(sizes)
    assert (await one(pool, picture("echo", "fits"))).message == "fits"


#: Command -> the exception it ends in; `write` because the view of a picture is read-only.
EXCEPTIONS = {
    "raises": "LookupError",
    "no_analysis": "AttributeError",
    "not_finite": "MalformedAnalysis",
    "write": "TypeError",
}


async def test_exceptions_name_their_type_only(pool):
    """Other frames have their analyses; the slot is replaced."""
    for count, (command, type_name) in enumerate(EXCEPTIONS.items(), start=1):
        failed, other = await pool.analyse([Frame(picture(command, "secret")), Frame(picture("echo", "fine"))])
        assert (failed.error, failed.message, other.message) == (ErrorCode.INFERENCE_ERROR, type_name, "fine")
        assert (await one(pool, picture("echo", "next"))).message == "next"
        assert pool.stats().restarts == {"raised": count}


async def test_cpu_and_wait_are_reported(pool, gate, until):
    first = await gate.hold(pool)
    second = asyncio.create_task(one(pool, picture("cpu", 0.3)))
    await until(lambda: pool.stats().queued == 1)
    assert pool.stats().busy == 1
    waited = asyncio.get_running_loop().time()
    await until(lambda: asyncio.get_running_loop().time() - waited > 0.05)
    gate.open()
    assert (await first).elapsed_ms["slot_wait"] < (await second).elapsed_ms["slot_wait"]
    assert (await second).elapsed_ms["slot_wait"] >= 50
    assert 50 < (await second).cpu_ms < 1000


async def test_pictures_are_taken_in_order(pool, gate, until):
    first, order = await gate.hold(pool), []
    rest = [asyncio.create_task(one(pool, picture("echo", n))) for n in range(10)]
    for job in rest:
        job.add_done_callback(lambda done: order.append(done.result().message))
    await until(lambda: pool.stats().queued == 10)
    gate.open()
    await asyncio.gather(first, *rest)
    assert order == [str(n) for n in range(10)]


async def test_cancelled_pictures_cost_no_other(pool, gate, until):
    running = await gate.hold(pool)
    waiting = asyncio.create_task(one(pool, picture("spin_c")))
    await until(lambda: pool.stats().queued == 1)
    running.cancel()
    waiting.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)
    gate.open()
    assert (await one(pool, picture("echo", "third"))).message == "third"
    assert pool.stats().restarts == {}
