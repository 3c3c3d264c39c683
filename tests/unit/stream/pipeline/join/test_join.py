"""Submissions in parts: one decision each, whatever comes late, twice, in another order or on another worker."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from abuse.links.reuse_references import ReuseReferences
from abuse.pictures.media_keys import KeyedImageHashes
from config.catalogues.error_codes import ErrorCode
from detectors.contract import Analysis
from stream.events.message.findings import FORGED, NOT_ATTESTED
from stream.events.message.messages import Output, Record, Refusal
from stream.events.message.session_terms import LivenessMode, SessionTerms
from stream.maintenance.join_sweeper import MOST_AT_ONCE, JoinSweeper
from stream.maintenance.left_aside import ASIDE_S, LeftAside
from stream.pipeline.decision.decide_stage import DecideStage
from stream.pipeline.join.pending import MAX_PENDING_BYTES, InMemoryPendingDetections
from tests.unit.stream.builders import GUID, OTHER_GUID, analysis, detection, ids
from tests.unit.stream.fakes import Away
from tests.unit.stream.json_schema import DECISION_SCHEMA, violations
from tests.unit.stream.pipeline.join_cases import (
    COUNT,
    DEPTH,
    Fleet,
    event,
    frame,
    group_part,
    group_reading,
    selfie,
    sent,
    sent_by_group,
)
from tests.unit.stream.runtime.virtual_time import run

FRAMES = [sent(frame(index)) for index in range(COUNT)]


async def given(fleet: Fleet, *records: Record, worker: int = 0) -> list[Output]:
    return [output for each in records for output in await fleet.give(each, worker)]


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_and_any_worker(seed):
    """The decision is the same but for its time and the record that closed the set."""
    in_order, shuffled, chance = Fleet(), Fleet(), random.Random(seed)
    (expected,) = await given(in_order, *FRAMES)
    outputs = []
    for each in chance.sample(FRAMES, COUNT):
        outputs += await shuffled.give(each, chance.randrange(2))
    (found,) = outputs
    assert event(found)["request_id"] == event(expected)["request_id"]
    assert event(found)["result"] == event(expected)["result"]
    assert (event(found)["result"]["verdict"], event(found)["result"]["frames_captured"]) == ("LIVE", COUNT)


async def test_frames_sent_twice():
    fleet = Fleet()
    outputs = await given(fleet, *(each for each in FRAMES for _ in range(2)))
    assert len({(each.key, each.value, each.headers) for each in outputs}) == 1
    again = await given(fleet, *FRAMES, worker=1)
    assert again == outputs[:1], "the record that closed the set says its decision again, the others nothing"
    assert await fleet.sweep() == []
    assert await given(fleet, *FRAMES) == again, "also when the parts are gone"


async def test_least_live_frame_counts():
    fleet = Fleet()
    (output,) = await given(fleet, *FRAMES[:3], sent(frame(3, 0.1)), *FRAMES[4:])
    assert event(output)["result"]["verdict"] == "SPOOF"


async def test_killed_between_closing_and_deciding():
    """The record that closed the set comes again, to another worker; no other record decides."""
    fleet = Fleet()
    await given(fleet, *FRAMES[:-1])
    assert await fleet.workers[0].decide_stage.join.add(frame(COUNT - 1)) is not None
    assert await given(fleet, *FRAMES[:-1], worker=1) == []
    (output,) = await given(fleet, FRAMES[-1], worker=1)
    assert event(output)["result"]["verdict"] == "LIVE"


async def test_sweep_heals_what_no_record_decides():
    fleet = Fleet()
    await given(fleet, *FRAMES[:-1])
    await fleet.workers[0].decide_stage.join.add(frame(COUNT - 1))
    (swept,) = await fleet.sweep()
    assert event(swept)["result"]["verdict"] == "LIVE"
    assert await given(fleet, FRAMES[-1]) == [swept]


@pytest.mark.parametrize("last", ["frame", "group"])
async def test_killed_before_publishing_and_read_again_after_the_sweep(last):
    """The sweep finds the decision stored, and removes the parts; the record publishes the decision all the same."""
    fleet = Fleet(DEPTH)
    records = [sent(selfie()), sent_by_group(group_part())]
    first, closing = records if last == "group" else reversed(records)
    assert await given(fleet, first) == []
    (unpublished,) = await given(fleet, closing)
    assert await fleet.sweep() == []
    assert await given(fleet, closing, worker=1) == [unpublished]
    assert await given(fleet, first, worker=1) == []


async def test_flags_not_published_before_the_sweep():
    """A worker is killed before it publishes, and the record is read again when the parts are gone: with each flag
    event that its submission brought about, on the person and on another who sent the picture first."""
    fleet = Fleet()
    picture = KeyedImageHashes(key_id="k1", bytes=1, pixels=2, perceptual=3)
    shown = {"references": ReuseReferences(picture=(picture,))}
    other = ids(submission_id="first", correlation_id=OTHER_GUID)
    await given(fleet, *(sent(frame(index, ids=other, **shown)) for index in range(COUNT)))
    again = [sent(frame(index, **shown)) for index in range(COUNT)]
    unpublished = await given(fleet, *again)
    about = {event(output)["subject"]["key"] for output in unpublished if output.topic == "flags"}
    assert about == {GUID, OTHER_GUID}
    assert await fleet.sweep() == []
    published = await given(fleet, again[-1])
    assert published[0] == unpublished[0]
    assert sorted(str(each.value) for each in published[1:]) == sorted(str(each.value) for each in unpublished[1:])


async def test_two_workers_close_at_once():
    fleet = Fleet()
    await given(fleet, *FRAMES[:-2])
    joins = [worker.decide_stage.join for worker in fleet.workers]
    both = await asyncio.gather(joins[0].add(frame(COUNT - 2)), joins[1].add(frame(COUNT - 1)))
    assert sum(each is not None for each in both) == 1


async def test_missing_frames():
    fleet = Fleet()
    assert await given(fleet, *FRAMES[:5]) == []
    assert await fleet.sweep(after_s=119) == []
    (output,) = await fleet.sweep(after_s=2)
    found = event(output)
    assert (found["error"]["code"], found["result"]["reasons"]) == (
        "INVALID_REQUEST",
        ["invalid_request", "frames_missing"],
    )
    assert found["error"]["message"] == "frames missing: 5 of 8 came in time"
    assert await given(fleet, *FRAMES) == [], "too late"
    assert await fleet.sweep() == []


PAUSED = Refusal(error=ErrorCode.SUBJECT_PAUSED, message="paused", counts=False)


@pytest.mark.parametrize("other", [(), (sent(frame(1, mark="other", finding=PAUSED)),)], ids=["missing", "contradicts"])
@pytest.mark.parametrize(("second", "is_attempt"), [(PAUSED, False), (None, True)])
async def test_frames_that_are_no_attempt(other, second, is_attempt):
    """Frames of a stranger without a token, or of a person who is paused, count no more where the rest is missing."""
    fleet = Fleet()
    outputs = await given(fleet, sent(frame(0, finding=PAUSED)), sent(frame(1, **_finding(second))), *other)
    (output,) = outputs or await fleet.sweep()
    assert event(output)["result"]["reasons"][1] == ("frames_contradict" if other else "frames_missing")
    assert (event(output)["abuse"]["observation"] is not None) is is_attempt


def _finding(refusal: Refusal | None) -> dict[str, Refusal]:
    return {} if refusal is None else {"finding": refusal}


async def test_sweep_again_after_a_crash():
    """Published, and not yet settled: consumers see the same bytes again."""
    away = Away(0, only="settle")
    fleet = Fleet(pending=InMemoryPendingDetections(away))
    await given(fleet, *FRAMES[:5])
    away.left = 10**6
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await fleet.sweep()
    away.left = 0
    assert [*fleet.sent.outputs, *await fleet.sweep()] == fleet.sent.outputs[:1] * 2


async def test_contradictory_frames():
    """Two pictures for one place: at once an answer, never a verdict on either."""
    fleet = Fleet()
    (output,) = await given(fleet, *FRAMES[:3], sent(frame(1, mark="other")), *FRAMES[3:])
    assert event(output)["result"]["reasons"] == ["invalid_request", "frames_contradict"]
    assert (await given(fleet, *FRAMES), await fleet.sweep()) == ([], [])


@pytest.mark.parametrize(
    ("index", "finding", "code"),
    [
        (0, Refusal(error=ErrorCode.SUBJECT_PAUSED, message="paused", counts=False), "SUBJECT_PAUSED"),
        (5, Refusal(error=ErrorCode.IMAGE_TOO_LARGE, message="too large"), "IMAGE_TOO_LARGE"),
        (7, analysis({}, error=ErrorCode.NO_FACE_DETECTED, face_detected=False), "NO_FACE_DETECTED"),
    ],
)
async def test_refused_frame_refuses_all(index, finding, code):
    fleet = Fleet()
    refused = sent(frame(index, finding=(finding,) if not isinstance(finding, Refusal) else finding))
    (output,) = await given(fleet, *FRAMES[:index], refused, *FRAMES[index + 1 :])
    assert event(output)["error"]["code"] == code


async def test_other_ids_make_another_set():
    """A stranger who knows the submission id alone spoils nothing."""
    fleet = Fleet()
    theirs = frame(2, mark="stranger")
    await given(fleet, sent(replace(theirs, ids=replace(theirs.ids, session_id="another"))))
    (output,) = await given(fleet, *FRAMES)
    assert event(output)["result"]["verdict"] == "LIVE"


async def test_id_used_before():
    """Frames under an id that another content owns: one answer, of its own."""
    fleet = Fleet()
    (first,) = await given(fleet, sent(detection()))
    second, flag = await given(fleet, *FRAMES)
    assert (second.topic, flag.topic) == ("decisions", "flags")
    assert event(second)["error"]["code"] == "DUPLICATE_MISMATCH"
    assert event(first)["request_id"] != event(second)["request_id"]


async def test_frames_of_several_sessions():
    terms = SessionTerms(
        session_id="s", mode=LivenessMode.ACTIVE, active=True, threshold=75, attempt=1, attempts_allowed=3
    )
    fleet = Fleet()
    (output,) = await given(fleet, sent(frame(0, session=terms)), *FRAMES[1:])
    assert event(output)["result"]["reasons"] == ["invalid_request", "frame_sessions_differ"]
    second = [sent(frame(index, session=replace(terms, attempt=index + 1))) for index in range(COUNT)]
    (output,) = await given(Fleet(), *second)
    assert event(output)["error"] is None


@pytest.mark.parametrize("call", ["put", "close"])
def test_nothing_decided_while_redis_is_away(call):
    async def scenario():
        away = Away(0, only=call)
        fleet = Fleet(pending=InMemoryPendingDetections(away))
        await given(fleet, *FRAMES[:-1])
        away.left = 25
        waiting = asyncio.create_task(fleet.give(FRAMES[-1]))
        await asyncio.sleep(20)
        assert (waiting.done(), fleet.workers[0].patience.waiting_for) == (False, ("redis",))
        assert [event(each)["result"]["verdict"] for each in await waiting] == ["LIVE"]

    run(scenario())


async def test_failing_stage_is_answered():
    """A frame on which the stage fails is a refusal in its place, and the last one answers for all."""
    fleet = Fleet()
    assert list(await fleet.workers[0].decide_stage.answer(FRAMES[0])) == []
    (output,) = await given(fleet, *FRAMES[1:])
    assert event(output)["error"]["code"] == "SERVER_ERROR"


@pytest.fixture
def failing_decisions(monkeypatch):
    async def fails(*_):
        raise RuntimeError

    monkeypatch.setattr(DecideStage, "decide", fails)


async def test_failing_decision_is_answered(failing_decisions):
    fleet = Fleet()
    await given(fleet, *FRAMES[:-1])
    with pytest.raises(RuntimeError):
        await fleet.give(FRAMES[-1])
    (output,) = await fleet.workers[0].decide_stage.answer(FRAMES[-1])
    assert event(output)["error"]["code"] == "SERVER_ERROR"
    assert await fleet.sweep() == []


async def test_failing_decision_ends_no_sweep(failing_decisions):
    fleet = Fleet()
    await given(fleet, *FRAMES[:2])
    (output,) = await fleet.sweep()
    assert event(output)["error"]["code"] == "SERVER_ERROR"
    assert await fleet.sweep() == []


async def test_worker_ended_on_a_late_frame():
    """Killed between taking a slot of a closed set and giving it back: the sweep passes over what doesn't count."""
    fleet = Fleet()
    await given(fleet, *FRAMES[:2])
    await fleet.sweep()
    ((name, held),) = fleet.pending._sets.items()
    held.parts["frame:5"] = ("d" * 32, b"")
    fleet.pending._due[name] = 0
    assert await fleet.sweep() == []
    assert await fleet.pending.due(2**50, 2) == []


async def test_sweep_goes_on_after_a_set_that_fails():
    fleet = Fleet()
    await given(fleet, sent(frame(0)))
    (broken,) = fleet.pending._sets
    fleet.pending._sets[broken].parts["frame:0"] = ("d" * 32, b"not a detection")
    other = frame(1)
    await given(fleet, *(sent(replace(other, ids=replace(other.ids, submission_id=f"s{n}"))) for n in range(4)))
    assert len(await fleet.sweep()) == 4


@pytest.mark.parametrize("last", [False, True])
async def test_frame_that_cannot_be_read(last):
    """As of another release: as if it had not come, so that the others have an answer. `last`: the set is closed by its
    last record, and else by its deadline."""
    fleet = Fleet()
    await given(fleet, *FRAMES[:-1])
    (name,) = fleet.pending._sets
    fleet.pending._sets[name].parts["frame:2"] = ("d" * 32, b"not a detection")
    (output,) = await given(fleet, FRAMES[-1]) if last else await fleet.sweep()
    assert event(output)["error"]["code"] == "INVALID_REQUEST"
    assert event(output)["result"]["reasons"][-1] == "frames_missing"
    assert await fleet.sweep() == []


async def test_group_result_that_cannot_be_read():
    fleet = Fleet(DEPTH)
    await given(fleet, sent_by_group(group_part()))
    (name,) = fleet.pending._sets
    fleet.pending._sets[name].parts["depth:0"] = ("d" * 32, b"no part")
    (output,) = await given(fleet, sent(selfie()))
    assert event(output)["result"]["verdict"] != "LIVE"


async def test_sets_that_fail_for_ever_hold_up_no_other():
    """As many as a sweep looks at: the sets behind them are ended by the sweep after, which then rests; they are looked
    at again later."""
    fleet, now_s = Fleet(), [0.0]
    other = frame(1)
    for number in range(MOST_AT_ONCE + 4):
        await given(fleet, sent(replace(other, ids=replace(other.ids, submission_id=f"s{number}"))))
    broken = sorted(fleet.pending._sets)[:MOST_AT_ONCE]
    for name in broken:
        fleet.pending._sets[name].parts["frame:1"] = ("d" * 32, b"not a detection")
    fleet.workers[0].time.at_ms += 3_600_000
    aside = LeftAside[str](lambda: now_s[0])
    sweeper = JoinSweeper(stage=fleet.workers[0].decide_stage, publisher=fleet.sent, aside=aside)
    assert [await sweeper.sweep() for _ in range(3)] == [False] * 3
    assert len(fleet.sent.outputs) == 4
    assert await fleet.pending.due(2**50, 200) == broken
    fleet.pending._sets[broken[0]].parts = {}
    now_s[0] = ASIDE_S
    await sweeper.sweep()
    assert await fleet.pending.due(2**50, 200) == broken[1:]


async def test_sweep_waits_for_no_single_broker_answer(monkeypatch):
    """Where a group is away every submission waits for the sweep, which ends several of these at a time."""
    fleet, all_sending = Fleet(DEPTH), asyncio.Barrier(8)

    async def publish(outputs):
        async with asyncio.timeout(1):
            await all_sending.wait()

    monkeypatch.setattr(fleet.sent, "publish", publish)
    await given(fleet, *(sent(selfie(ids=ids(submission_id=f"s{number}"))) for number in range(8)))
    await fleet.sweep()
    assert await fleet.pending.due(2**50, 100) == []


async def test_worker_after_worker_ends_on_a_set():
    """The third that comes to the set answers instead of deciding, and lives."""
    fleet = Fleet(DEPTH)
    await given(fleet, sent(selfie()))
    (name,) = await fleet.pending.due(2**50, 2)
    for dead in ("first", "second"):
        await fleet.pending.tried(name, dead)
    (output,) = await fleet.sweep()
    assert event(output)["error"]["code"] == "SERVER_ERROR"


async def test_too_large_part_is_set_aside():
    fleet = Fleet()
    wordy = analysis()
    readings = tuple(replace(each, detail="é" * 1000) for each in wordy.readings) * 8
    (letter,) = await fleet.give(sent(frame(0, finding=(replace(wordy, readings=readings),))))
    assert (letter.topic, dict(letter.headers)["reason"]) == ("dead", b"BAD_DETECTION")


async def test_all_frames_of_a_capture_wait_for_a_group():
    """Twelve measured frames in one event have more than 100 KB, and are answered like any other."""
    fleet = Fleet(DEPTH)
    given_of_all = sent(replace(selfie(), finding=(_wordy(analysis()),) * 12))
    assert len(given_of_all.value or b"") > MAX_PENDING_BYTES
    assert await given(fleet, given_of_all) == []
    (output,) = await given(fleet, sent_by_group(group_part()))
    assert event(output)["error"] is None


def _wordy(whole: Analysis) -> Analysis:
    return replace(whole, readings=tuple(replace(each, detail="d" * 1000) for each in whole.readings))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_group_is_waited_for(order):
    fleet = Fleet(DEPTH)
    records = [sent(selfie()), sent_by_group(group_part())]
    assert await given(fleet, records[order[0]]) == []
    (output,) = await given(fleet, records[order[1]], worker=1)
    result = event(output)["result"]
    assert (result["verdict"], result["signals"][-1]["name"]) == ("LIVE", "group_depth_flatness")
    assert violations(event(output), DECISION_SCHEMA) == []
    assert await given(fleet, records[order[1]]) == [output]
    assert (await given(fleet, records[order[0]]), await fleet.sweep()) == ([], [])


async def test_missing_group_lowers():
    fleet = Fleet(DEPTH)
    await given(fleet, sent(selfie()))
    (output,) = await fleet.sweep(after_s=31)
    result = event(output)["result"]
    assert (result["verdict"], result["reasons"][0]) == ("INCONCLUSIVE", "group_missing")
    assert result["counterfactual"] is None
    assert (await given(fleet, sent_by_group(group_part())), await fleet.sweep()) == ([], [])


async def test_detection_by_a_worker_without_groups():
    """A rolling change of the policy lets nothing pass that the group has not seen."""
    fleet = Fleet(DEPTH)
    assert await given(fleet, sent(detection()), sent_by_group(group_part())) == []
    (output,) = await fleet.sweep(after_s=31)
    result = event(output)["result"]
    assert (result["verdict"], result["reasons"][0]) == ("INCONCLUSIVE", "group_missing")


async def test_other_pictures_are_no_answer():
    fleet = Fleet(DEPTH)
    assert await given(fleet, sent(selfie()), sent_by_group(group_part(image="cd" * 32))) == []
    (output,) = await fleet.sweep()
    assert event(output)["result"]["reasons"][0] == "group_missing"


@pytest.mark.parametrize(
    ("second", "verdict"), [(0.9, "LIVE"), (0.90001, "LIVE"), (0.89, "INCONCLUSIVE"), (0.2, "INCONCLUSIVE")]
)
async def test_group_says_two_things(second, verdict):
    """Twice the same, but for digits that nobody is shown, is one result."""
    fleet = Fleet(DEPTH)
    results = [sent_by_group(group_part(group_reading(each))) for each in (0.9, second)]
    (output,) = await given(fleet, *results, sent(selfie()))
    result = event(output)["result"]
    assert (result["verdict"], "group_contradictory" in result["reasons"]) == (verdict, verdict != "LIVE")


async def test_group_on_each_frame():
    fleet = Fleet(DEPTH)
    frames = [replace(frame(index), content=group_part(image=f"{index:064x}").content) for index in range(COUNT)]
    theirs = [
        group_part(group_reading(0.2 if index == 4 else 0.9), image=f"{index:064x}", part=each.part)
        for index, each in enumerate(frames)
    ]
    assert await given(fleet, *map(sent_by_group, theirs[:-1]), *map(sent, frames)) == []
    (output,) = await given(fleet, sent_by_group(theirs[-1]))
    result = event(output)["result"]
    assert (result["verdict"], result["signals"][-1]["score"]) == ("SPOOF", 0.2)
    assert result["reasons"][0] == "group_depth_flatness_low"


async def test_group_on_another_picture():
    """A result for the right place of a set and the wrong picture is a contradiction."""
    fleet = Fleet(DEPTH)
    frames = [replace(frame(index), content=group_part(image=f"{index:064x}").content) for index in range(COUNT)]
    theirs = [group_part(image=f"{max(index, 1):064x}", part=each.part) for index, each in enumerate(frames)]
    (output,) = await given(fleet, *map(sent, frames), *map(sent_by_group, theirs))
    result = event(output)["result"]
    assert (result["verdict"], result["reasons"][0]) == ("INCONCLUSIVE", "group_contradictory")


async def test_refused_submission_waits_for_no_group():
    fleet = Fleet(DEPTH)
    for refused in (
        Refusal(error=ErrorCode.SUBJECT_PAUSED, message="paused", counts=False),
        analysis({}, error=ErrorCode.NO_FACE_DETECTED, face_detected=False),
    ):
        ids = detection().ids
        number = str(refused.error)
        (output,) = await given(
            fleet, sent(detection(refused, ids=replace(ids, submission_id=number), content="a" * 32))
        )
        assert event(output)["error"]["code"] == number


async def test_group_nobody_waits_for():
    assert await given(Fleet(), sent_by_group(group_part())) == []


@pytest.mark.parametrize("value", [None, b"{}", b"x" * 20_000])
async def test_malformed_group_part(value):
    (letter,) = await Fleet(DEPTH).give(replace(sent_by_group(group_part()), value=value))
    assert (letter.topic, dict(letter.headers)["reason"]) == ("dead", b"BAD_DETECTION_PART")


async def test_one_frame_takes_no_call():
    """The store of parts is not asked for a submission that is whole."""
    away = Away(10**6)
    fleet = Fleet(pending=InMemoryPendingDetections(away))
    (output,) = await given(fleet, sent(detection()))
    assert (event(output)["result"]["verdict"], away.calls) == ("LIVE", [])


async def test_capture_is_the_worst_of_the_frames(monkeypatch):
    fleet, joined = Fleet(), []

    async def watched(self, detection):
        joined.append(detection)
        return await kept(self, detection)

    kept = DecideStage.decide
    monkeypatch.setattr(DecideStage, "decide", watched)
    await given(fleet, *(sent(frame(index, capture=FORGED if index == 6 else NOT_ATTESTED)) for index in range(COUNT)))
    assert [each.capture for each in joined] == [FORGED]
