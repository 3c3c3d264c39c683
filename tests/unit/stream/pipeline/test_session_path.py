"""Submissions with a session token through both stages: who spends an attempt, and what is published."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from abuse.redis_port import ForeignValue
from stream.events.message.messages import Record
from stream.events.message.session_terms import LivenessMode
from stream.maintenance.join_sweeper import JoinSweeper
from stream.pipeline.admission.session_refusals import SessionRefusal
from stream.sessions.gate import SessionTokenGate
from stream.sessions.ledger import SessionBook
from stream.sessions.session import session_from
from stream.sessions.session_store import InMemorySessionStore, SessionName
from tests.unit.stream.builders import OTHER_IMAGE, analysis, bare, base64_of
from tests.unit.stream.fakes import Away, FakeAnalyser, Pipeline
from tests.unit.stream.pipeline.join_cases import Sent
from tests.unit.stream.sessions.builders import session_record, token_of, tokens

RECORD = session_record(attempts=2)
TOKEN = token_of(RECORD)


class Scene:
    def __init__(self, found: float = 1.0, away: Away | None = None, **changes: Any) -> None:
        self.store = InMemorySessionStore(away or (lambda name: None))
        gate = SessionTokenGate(store=self.store, tokens=tokens(), **changes)
        self.pipeline = Pipeline(FakeAnalyser(analysis(found)), sessions=gate, book=SessionBook(store=self.store))

    async def result(self, **changes: Any) -> dict[str, Any]:
        await self.store.create(RECORD)
        given = bare(**{"session_token": TOKEN, **changes})
        document: dict[str, Any] = orjson.loads((await self.pipeline.decision(given)).value or b"")
        return document

    async def used(self) -> int:
        session = session_from(await self.store.read(SessionName(None, RECORD.session_id)))
        assert session is not None
        return session.used

    @property
    def states(self) -> list[str]:
        return [orjson.loads(change.value or b"")["state"] for change in self.pipeline.changes]


async def test_success():
    scene = Scene()
    assert (await scene.result())["result"]["verdict"] == "LIVE"
    assert scene.states == ["running", "succeeded"]
    assert [change.key for change in scene.pipeline.changes] == [RECORD.correlation_id.encode()] * 2
    assert TOKEN.encode() not in b"".join(change.value or b"" for change in scene.pipeline.changes)


async def test_submission_again_has_the_same_answer_and_spends_nothing():
    """Also after its token has expired, and after its session has ended."""
    scene = Scene()
    first = await scene.result()
    late = replace(bare(session_token=TOKEN), appended_at_ms=RECORD.expires_ms + 1)
    for again in (bare(session_token=TOKEN), late):
        decided = await scene.pipeline.decision(again)
        assert orjson.loads(decided.value or b"") == first
    assert await scene.used() == 1
    assert scene.states == ["running", "succeeded"]


async def test_another_submission_with_a_spent_token():
    scene = Scene(found=0.0)
    for number in (1, 2):
        await scene.result(submission_id=f"sub-{number}")
    refused = await scene.result(submission_id="sub-3")
    assert (refused["error"]["code"], refused["result"]["verdict"]) == ("SESSION_INVALID", "INCONCLUSIVE")
    assert SessionRefusal.ATTEMPTS_SPENT in refused["result"]["reasons"]
    assert scene.states == ["running", "failed"]
    assert len(scene.pipeline.analyser.pictures) == 2, "no picture is analysed without an attempt"


async def test_refused_by_a_flag_spends_nothing():
    scene = Scene()
    for number in range(5):
        scene.pipeline.analyser.found = analysis(0.0)
        await scene.result(submission_id=f"s-{number}", session_token=...)
    refused = await scene.result()
    assert (refused["error"]["code"], await scene.used()) == ("SUBJECT_PAUSED", 0)


async def test_session_that_cannot_be_read_any_more():
    """As one that a newer release wrote to while the picture was analysed: the submission has its decision."""
    scene = Scene()

    class Unreadable:
        async def decided(self, *_: object) -> tuple[()]:
            raise ForeignValue("session:1")

    scene.pipeline.decide_stage = replace(scene.pipeline.decide_stage, sessions=Unreadable())
    assert (await scene.result())["result"]["verdict"] == "LIVE"
    assert scene.states == []


async def test_crash_before_the_decision_is_published():
    """The detection is read again: the decision in force, and the same changes of the session."""
    scene = Scene()
    await scene.store.create(RECORD)
    (detection,) = await scene.pipeline.detect(bare(session_token=TOKEN))
    decisions = [await scene.pipeline.decide(detection) for _ in range(2)]
    assert decisions[0] == decisions[1]
    assert scene.pipeline.changes[:2] == scene.pipeline.changes[2:]
    assert await scene.used() == 1


async def test_crash_before_the_detection_is_published():
    scene = Scene()
    await scene.store.create(RECORD)
    for _ in range(3):
        (detection,) = await scene.pipeline.detect(bare(session_token=TOKEN))
    await scene.pipeline.decide(detection)
    assert (scene.states, await scene.used()) == (["running", "succeeded"], 1)


@pytest.mark.parametrize(
    "first",
    [{"session_token": ...}, {"session_token": ..., "session_id": RECORD.session_id}, {"session_token": "lax"}],
    ids=["no token", "no token and the session's name", "token of another session"],
)
async def test_decision_on_other_terms_ends_no_session(first):
    """A submission twice at once, the first time without the strict session's token: the decision in force is that of
    the first, and says nothing of the session's demands."""
    scene, lax = Scene(), session_record(2, threshold=0)
    await scene.store.create(replace(RECORD, attestation_required=True, threshold=100))
    await scene.store.create(lax)
    named = {name: text for name, text in first.items() if name == "session_id"}
    token = token_of(lax) if first["session_token"] == "lax" else ...
    records = [bare(session_token=token, **named), bare(session_token=TOKEN, **named)]
    admitted = [(await scene.pipeline.detect(given))[-1] for given in records]
    decided = [orjson.loads((await scene.pipeline.decide(each)).value or b"") for each in admitted]
    assert decided[0] == decided[1], "one decision on one submission"
    strict = session_from(await scene.store.read(SessionName(None, RECORD.session_id)))
    assert strict is not None
    assert (decided[1]["result"]["liveness_passed"], strict.failed, strict.end) == (True, 1, None)


async def test_store_that_is_away_is_waited_for():
    away = Away(2, "add")
    scene = Scene(away=away)
    assert (await scene.result())["result"]["verdict"] == "LIVE"
    assert scene.states == ["running", "succeeded"]


async def test_tenant_that_needs_sessions():
    scene = Scene()
    await scene.pipeline.ledger.switch(None, {"sessions": {"required": True}})
    refused = await scene.result(session_token=...)
    assert SessionRefusal.TOKEN_MISSING in refused["result"]["reasons"]
    assert (await scene.result(submission_id="sub-2"))["error"] is None


@pytest.mark.parametrize("gate_fails", [False, True])
async def test_stage_that_failed_gives_the_attempt_back(gate_fails):
    """And answers, also where the gate is what failed."""
    scene = Scene()
    await scene.store.create(RECORD)
    given = bare(session_token=TOKEN)
    await scene.pipeline.detect(given)
    if gate_fails:
        scene.pipeline.detect_stage = replace(
            scene.pipeline.detect_stage,
            admission=replace(scene.pipeline.detect_stage.admission, sessions=Broken()),
        )
    (detection,) = await scene.pipeline.detect_stage.answer(given)
    decided = orjson.loads((await scene.pipeline.decide(detection)).value or b"")
    assert (decided["error"]["code"], await scene.used()) == ("SERVER_ERROR", 1 if gate_fails else 0)


class Broken:
    async def admit(self, submission, *, required):
        raise RuntimeError("a bug")


async def test_server_error_gives_the_attempt_back():
    scene = Scene()
    await scene.store.create(RECORD)
    (detection,) = await scene.pipeline.detect(bare(session_token=TOKEN))
    answered = await scene.pipeline.decide_stage.answer(
        replace(bare(), value=detection.value, headers=detection.headers, topic="detections")
    )
    assert [orjson.loads(output.value or b"").get("state") for output in answered] == [None, "running"]
    assert await scene.used() == 0


async def test_other_content_under_the_id_is_no_attempt():
    scene = Scene()
    await scene.result()
    refused = await scene.result(image=base64_of(OTHER_IMAGE))
    assert (refused["error"]["code"], await scene.used()) == ("DUPLICATE_MISMATCH", 1)


COUNT = 8


def frame(index: int, **changes: Any) -> Record:
    """Record of one of eight frames, each another picture."""
    image = base64_of(OTHER_IMAGE + bytes([index]))
    given = {"session_token": TOKEN, "image": image, "frame_index": index, "frame_count": COUNT}
    return bare(**{**given, **changes})


async def decisions(scene: Scene, *records: Record) -> list[dict[str, Any]]:
    """Decisions that follow from records of an active session, each through both stages."""
    await scene.store.create(replace(RECORD, mode=LivenessMode.ACTIVE, challenges=("smile", "blink")))
    found = []
    for given in records:
        (detection,) = await scene.pipeline.detect(given)
        record = replace(given, value=detection.value, headers=detection.headers, topic="detections")
        outputs = await scene.pipeline.decide_stage.handle(record)
        found += [orjson.loads(output.value or b"") for output in outputs if output.topic == "decisions"]
    return found


async def test_record_a_frame():
    """An attempt and a decision. Frames that come again spend nothing, are not analysed and add nothing. Frames that
    were not measured pass no active check."""
    scene = Scene()
    frames = [frame(index) for index in range(COUNT)]
    (decided,) = await decisions(scene, *frames)
    assert (decided["result"]["verdict"], decided["result"]["frames_captured"]) == ("SPOOF", COUNT)
    assert await decisions(scene, *frames) == [decided], "the record that closed the set says its decision again"
    assert (await scene.used(), len(scene.pipeline.analyser.pictures)) == (1, COUNT)
    assert await decisions(scene, frame(2, image=base64_of())) == [], "too late for another picture"


async def test_changes_of_a_set_that_was_swept_before_these_were_published():
    """Killed between storing the decision and what follows: the record comes again when the parts are gone."""
    scene = Scene()
    await decisions(scene, *(frame(index) for index in range(COUNT - 1)))
    (detection,) = await scene.pipeline.detect(frame(COUNT - 1))
    closing = replace(frame(0), value=detection.value, headers=detection.headers, topic="detections")
    stage = replace(scene.pipeline.decide_stage, sessions=Dying())
    with pytest.raises(RuntimeError):
        await stage.handle(closing)
    scene.pipeline.time.at_ms += 3_600_000
    await JoinSweeper(stage=scene.pipeline.decide_stage, publisher=Sent(), name="one").sweep()  # type: ignore[arg-type]
    outputs = await scene.pipeline.decide_stage.handle(closing)
    told = [(output.topic, orjson.loads(output.value or b"").get("state")) for output in outputs]
    assert told == [("decisions", None), ("sessions", "running")]


class Dying:
    async def decided(self, detection, decision):
        raise RuntimeError("the process ends")


async def test_rejected_frame():
    scene = Scene()
    frames = [frame(index, **({"image": "%"} if index == 3 else {})) for index in range(COUNT)]
    (decided,) = await decisions(scene, *frames)
    assert (decided["error"]["code"], decided["error"]["message"]) == ("INVALID_REQUEST", "image is not valid base64")


async def test_frames_without_a_token_are_answered_once():
    scene = Scene()
    (decided,) = await decisions(scene, *(frame(index, session_token=...) for index in range(COUNT)))
    assert decided["error"]["message"].startswith("these fields need a session's token")
