"""Every way a slot can be lost: what it costs its own picture, and that it costs no other."""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import time

from config.catalogues.error_codes import ErrorCode
from detectors.analysis_codec import encode
from detectors.contract import Analysis
from detectors.pool import CrashCause, SlotCrashed, SlotPool, SlotTimeout
from detectors.pool.messages import join
from tests.unit.detectors.pool.conftest import gone
from tests.unit.detectors.pool.fakes import one, picture

NOT_JSON = struct.pack("<QBI", 1, 2, 7) + join([b"{{{"])


async def test_spinning_slots_are_killed(make_pool):
    pool = await make_pool(deadline_s=0.3)
    half_a_reply = picture("junk", NOT_JSON[:5].hex())
    for count, image in enumerate((picture("spin_c"), picture("spin_python"), half_a_reply), start=1):
        started = time.monotonic()
        outcome = await one(pool, image)
        assert 0.3 <= time.monotonic() - started < 10, "it would spin for ever"
        assert (type(outcome), outcome.deadline_s) == (SlotTimeout, 0.3)
        assert (await one(pool, picture("echo", "next"))).message == "next"
        assert pool.stats().restarts == {"timeout": count}


async def test_deadlines_exclude_the_wait(make_pool):
    pool = await make_pool(deadline_s=0.4)
    spinning = [one(pool, picture("spin_c")) for _ in range(2)]
    *timeouts, answer = await asyncio.gather(*spinning, one(pool, picture("echo", "late")))
    assert all(isinstance(outcome, SlotTimeout) for outcome in timeouts)
    assert answer.message == "late"
    assert answer.elapsed_ms["slot_wait"] > 800


CRASHES = [
    ("segv", "", CrashCause.SIGNAL, signal.SIGSEGV),
    ("kill", 9, CrashCause.SIGNAL, signal.SIGKILL),
    ("hog_native", 100_000, CrashCause.SIGNAL, signal.SIGABRT),
    ("exit", 7, CrashCause.EXIT, 7),
    ("exit", 0, CrashCause.EXIT, 0),
    ("sys_exit", 5, CrashCause.EXIT, 5),
]


async def test_second_crash_tells_the_cause(pool):
    for count, (command, argument, cause, code) in enumerate(CRASHES, start=1):
        outcome = await one(pool, picture(command, argument))
        assert (type(outcome), outcome.cause, outcome.code) == (SlotCrashed, cause, code)
        assert (await one(pool, picture("echo", "next"))).message == "next"
        assert (pool.stats().restarts, pool.stats().quarantined) == ({"crash": count}, 0)


VALID = encode(Analysis())
BODY = join([VALID])
JUNK = {
    "no such kind": struct.pack("<QBI", 1, 77, 0),
    "too long": struct.pack("<QBI", 1, 2, 2**32 - 1),
    "not JSON": NOT_JSON,
    "another job": struct.pack("<QBI", 99, 2, len(BODY)) + BODY,
    "two replies": NOT_JSON * 2,
    "two analyses of one frame": struct.pack("<QBI", 1, 2, 2 * len(BODY)) + 2 * BODY,
    "ready again": struct.pack("<QBI", 1, 0, len(VALID)) + VALID,
}


async def test_malformed_replies_are_crashes(pool):
    """Each is the first job of its slot, since the slot before was lost."""
    for name, junk in JUNK.items():
        outcome = await one(pool, picture("junk", junk.hex()))
        assert (type(outcome), outcome.cause) == (SlotCrashed, CrashCause.MALFORMED_REPLY), name
    assert (await one(pool, picture("echo", "next"))).message == "next"


def flake(pool: SlotPool) -> bytes:
    """A picture that crashes the slots there are, and no fresh one."""
    return picture("flake", ",".join(str(slot.pid) for slot in pool.stats().slots))


async def test_second_attempt_has_own_process(pool, until):
    before = {slot.pid for slot in pool.stats().slots}
    answer = await one(pool, flake(pool))
    assert answer.message == "second time"
    quarantine = int(answer.notes[0])
    await until(lambda: pool.stats().slots)
    assert quarantine not in before | {slot.pid for slot in pool.stats().slots}
    await until(lambda: not os.path.exists(f"/proc/{quarantine}"))


async def test_crashes_disturb_no_other_picture(make_pool, gate, until):
    pool = await make_pool(slots=3)
    in_flight = [await gate.hold(pool) for _ in range(2)]
    await until(lambda: pool.stats().busy == 2)
    crashing, flaking, *echoes = await asyncio.gather(
        one(pool, picture("segv")),
        one(pool, flake(pool)),
        *(one(pool, picture("echo", n)) for n in range(20)),
    )
    gate.open()
    assert [answer.message for answer in await asyncio.gather(*in_flight)] == ["passed", "passed"]
    assert (type(crashing), type(flaking)) == (SlotCrashed, Analysis)
    assert [answer.message for answer in echoes] == [str(n) for n in range(20)]


async def test_quarantine_can_time_out(make_pool, tmp_path):
    pool = await make_pool(deadline_s=0.4)
    outcomes = await asyncio.gather(one(pool, picture("segv")), one(pool, picture("spin_c")))
    assert [type(outcome) for outcome in outcomes] == [SlotCrashed, SlotTimeout]


async def test_memory_is_limited(make_pool):
    pool = await make_pool(memory_mib=512)
    failed = await one(pool, picture("hog", 600))
    assert (failed.error, failed.message) == (ErrorCode.INFERENCE_ERROR, "MemoryError")
    assert (await one(pool, picture("hog", 100))).message == str(100 << 20)


async def test_idle_deaths_cost_no_attempt(pool, until):
    os.kill(pool.stats().slots[0].pid, signal.SIGKILL)
    await until(lambda: not pool.stats().slots)
    assert (await one(pool, picture("echo", "next"))).message == "next"
    assert pool.stats().restarts == {"crash": 1}
    assert pool.stats().quarantined == 0


async def test_fork_server_end_is_survived(make_pool, gate, until):
    pool = await make_pool(slots=2)
    fork_server = int((await one(pool, picture("pid"))).notes[1])
    in_flight = await gate.hold(pool)
    old = {slot.pid for slot in pool.stats().slots}
    os.kill(fork_server, signal.SIGKILL)
    gate.open()
    assert (await in_flight).message == "passed"
    answers = await asyncio.gather(*(one(pool, picture("echo", n)) for n in range(10)))
    assert [answer.message for answer in answers] == [str(n) for n in range(10)]
    await until(lambda: all(gone(pid) for pid in (*old, fork_server)))
