"""Sessions under decisions: ended once, by the decision in force, in any order of attempts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given as from_all
from hypothesis import settings
from hypothesis import strategies as st

from config.catalogues.error_codes import ErrorCode
from stream.events.message.ids import SubmissionIds
from stream.events.message.messages import Detection
from stream.events.message.session_terms import LivenessMode
from stream.pipeline.detection.detect_stage import refusal_for
from stream.sessions.ledger import SessionBook
from stream.sessions.outcome import NOBODYS_FAULT, RESULT_FIELDS
from stream.sessions.session import ATTEMPT, SessionAttempt, session_from
from stream.sessions.session_store import InMemorySessionStore, SessionName
from tests.unit.stream.builders import APPENDED_AT_MS, GUID
from tests.unit.stream.json_schema import SESSION_SCHEMA, violations
from tests.unit.stream.sessions.builders import session_record


def decision(score: int = 80, verdict: str = "LIVE", error: ErrorCode | None = None, **result: Any) -> bytes:
    fields = {
        "liveness_mode": "passive",
        "liveness_score": float(score),
        "liveness_passed": verdict == "LIVE" and score >= 75,
        "liveness_threshold": 75,
        "challenges_completed": [],
        "frames_captured": 1,
        "pose_variation_score": 0.0,
        "expression_variation_score": 0.0,
        "verification": None,
        "capture": {"attestation": "not_attested", "channel": None, "camera": None},
    }
    document = {"verdict": verdict, "score": score, **fields, **result}
    told = error and {"code": str(error), "message": "m"}
    return orjson.dumps({"session_id": session_record().session_id, "result": document, "error": told})


LIVE, SPOOF = decision(), decision(20, "SPOOF")
GIVEN_BACK = decision(0, "INCONCLUSIVE", ErrorCode.SERVER_ERROR)
TOO_BRIGHT = decision(0, "INCONCLUSIVE", ErrorCode.ENVIRONMENT_NOT_SUPPORTED)


class Scene:
    """A session, and decisions on its attempts."""

    def __init__(self, **changes: Any) -> None:
        self.record, self.store = session_record(**changes), InMemorySessionStore()
        self.book, self.name = SessionBook(store=self.store), SessionName(None, self.record.session_id)

    async def begin(self, *attempts: int) -> None:
        await self.store.create(self.record)
        for number in attempts:
            taken = SessionAttempt(
                fingerprint=f"{number:032x}", at_ms=APPENDED_AT_MS + number, submission_id=f"sub-{number}"
            )
            await self.store.add(self.name, {f"{ATTEMPT}{number}": taken.to_text()})

    def detection(self, number: int) -> Detection:
        return Detection(
            ids=SubmissionIds(submission_id=f"sub-{number}", correlation_id=GUID),
            fingerprint=f"{number:032x}",
            appended_at_ms=APPENDED_AT_MS + number,
            finding=refusal_for(ErrorCode.SERVER_ERROR),
            session=self.record.terms(number, active_step=False),
        )

    async def decided(self, number: int, decided: bytes = LIVE) -> list[dict[str, Any]]:
        events = [event.document for event in await self.book.decided(self.detection(number), decided)]
        assert [violations(event, SESSION_SCHEMA) for event in events] == [[]] * len(events)
        return events

    async def states(self, number: int, decided: bytes = LIVE) -> list[str]:
        return [event["state"] for event in await self.decided(number, decided)]


async def test_success():
    scene = Scene(attempts=2)
    await scene.begin(1)
    running, succeeded = await scene.decided(1)
    assert (running["state"], running["submission_id"], running["result"]) == ("running", "sub-1", None)
    assert succeeded["state"] == "succeeded"
    assert (succeeded["submission_id"], succeeded["attempts"]) == ("sub-1", {"allowed": 2, "used": 1})
    result = orjson.loads(LIVE)["result"]
    assert succeeded["result"] == {name: result[name] for name in RESULT_FIELDS}
    assert await scene.decided(1) == [running, succeeded]


async def test_failure_once_every_attempt_is_decided():
    scene = Scene(attempts=2)
    await scene.begin(1, 2)
    assert await scene.states(1, SPOOF) == ["running"]
    assert await scene.states(2, SPOOF) == ["failed"]
    assert await scene.states(1, SPOOF) == ["running"]
    assert await scene.states(2, SPOOF) == ["failed"]


async def test_attempt_under_way_may_still_succeed():
    scene = Scene(attempts=2)
    await scene.begin(1, 2)
    await scene.states(1, SPOOF)
    assert await scene.states(2, LIVE) == ["succeeded"]


@pytest.mark.parametrize("error", sorted(set(ErrorCode) - NOBODYS_FAULT))
async def test_error_of_the_submission_spends_the_attempt(error):
    scene = Scene(attempts=1)
    await scene.begin(1)
    assert await scene.states(1, decision(0, "INCONCLUSIVE", error)) == ["running", "failed"]


@pytest.mark.parametrize("error", sorted(NOBODYS_FAULT))
async def test_error_of_nobody_gives_the_attempt_back(error):
    scene = Scene(attempts=1)
    await scene.begin(1)
    (running,) = await scene.decided(1, decision(0, "INCONCLUSIVE", error))
    assert (running["state"], running["attempts"]["used"]) == ("running", 0)
    session = session_from(await scene.store.read(scene.name))
    assert session is not None
    assert (session.used, session.next_attempt) == (0, 2)


@pytest.mark.parametrize(("mode", "asks"), [(LivenessMode.PASSIVE, False), (LivenessMode.PASSIVE_ACTIVE, True)])
async def test_strong_light_begins_the_active_step(mode, asks):
    scene = Scene(mode=mode, challenges=("smile", "blink"))
    await scene.begin(1)
    events = await scene.decided(1, TOO_BRIGHT)
    assert await scene.decided(1, TOO_BRIGHT) == events  # a repeat says the same
    assert [event["state"] for event in events] == ["running"] * (1 + asks)
    last = events[-1]
    assert (last["asks_challenges"], last["budget_ms"]) == ((True, 20_000) if asks else (False, 12_000))
    assert (last["liveness_challenges"], last["attempts"]["used"]) == (["smile", "blink"], 0)
    session = session_from(await scene.store.read(scene.name))
    assert session is not None
    assert (session.active_since is not None) is asks


@pytest.mark.parametrize(
    ("before", "used"),
    [([], 0), ([SPOOF], 1), ([GIVEN_BACK], 0), ([GIVEN_BACK, SPOOF], 1), ([SPOOF, GIVEN_BACK, GIVEN_BACK], 1)],
    ids=["the first", "after one spent", "after one given back", "after both", "after two given back"],
)
async def test_active_step_counts_attempts_that_are_spent(before, used):
    """A repeat has the same bytes, whatever is decided afterwards."""
    scene = Scene(mode=LivenessMode.PASSIVE_ACTIVE, challenges=("smile", "blink"), attempts=3)
    number = len(before) + 1
    await scene.begin(*range(1, number + 1))
    for earlier, decided in enumerate(before, 1):
        await scene.decided(earlier, decided)
    active = (await scene.decided(number, TOO_BRIGHT))[-1]
    assert (active["asks_challenges"], active["attempts"]["used"]) == (True, used)
    await scene.begin(number + 1)
    await scene.decided(number + 1, SPOOF)
    assert (await scene.decided(number, TOO_BRIGHT))[-1] == active


@pytest.mark.parametrize(
    ("mode", "decided", "passes"),
    [
        (LivenessMode.PASSIVE, decision(75), True),
        (LivenessMode.PASSIVE, decision(74), False),
        (LivenessMode.PASSIVE, decision(99, "INCONCLUSIVE"), False),
        (LivenessMode.PASSIVE, decision(99, "SPOOF", liveness_passed=True), False),
        (LivenessMode.PASSIVE, decision(99, liveness_passed=False), False),
        (LivenessMode.PASSIVE, decision(99, liveness_passed="yes"), False),
        (LivenessMode.PASSIVE, decision(99, verification={"is_identical": True}), True),
        (LivenessMode.PASSIVE, decision(99, verification={"is_identical": False}), False),
        (LivenessMode.PASSIVE, decision(99, verification={"is_identical": None}), False),
        (LivenessMode.ACTIVE, decision(99), False),
        (LivenessMode.ACTIVE, decision(99, frames_captured=7), False),
        (LivenessMode.ACTIVE, decision(99, frames_captured=8), True),
        (LivenessMode.ACTIVE, decision(99, frames_captured=8, liveness_passed=False), False),
    ],
)
async def test_what_passes(mode, decided, passes):
    scene = Scene(mode=mode, attempts=1)
    await scene.begin(1)
    assert (await scene.states(1, decided))[-1] == ("succeeded" if passes else "failed")


@pytest.mark.parametrize("mine", [LIVE, SPOOF, GIVEN_BACK])
@pytest.mark.parametrize("theirs", [LIVE, SPOOF])
async def test_attempt_that_is_another_ones_since(mine, theirs):
    """Redis was emptied while a submission was analysed, and another one has its attempt now: the first ends nothing,
    gives nothing back, and lets nobody pass."""
    scene = Scene(attempts=1)
    await scene.begin()
    taken = SessionAttempt(fingerprint="a" * 32, at_ms=APPENDED_AT_MS, submission_id="sub-9")
    await scene.store.add(scene.name, {f"{ATTEMPT}1": taken.to_text()})
    assert await scene.decided(1, mine) == []
    ids = SubmissionIds(submission_id="sub-9", correlation_id=GUID)
    events = await scene.book.decided(replace(scene.detection(1), ids=ids), theirs)
    ends = [event.document["state"] for event in events if event.document["state"] != "running"]
    assert ends == ["succeeded" if theirs == LIVE and mine != SPOOF else "failed"]


@pytest.mark.parametrize("mine", [LIVE, GIVEN_BACK])
async def test_session_created_anew(mine):
    """The session was erased and created anew under its request token while a submission was analysed: that one's
    decision ends nothing of the new session and gives nothing back."""
    scene = Scene()
    await scene.begin()
    old = replace(scene.detection(1), session=replace(scene.record, token_id="before").terms(1, active_step=False))
    assert await scene.book.decided(old, mine) == ()
    session = session_from(await scene.store.read(scene.name))
    assert session is not None
    assert (session.end, session.unspent) == (None, 0)


async def test_erased_session_says_nothing():
    scene = Scene()
    assert await scene.decided(1) == []
    assert scene.store.kept == {}


async def test_submission_without_session():
    detection = Detection(
        ids=SubmissionIds(submission_id="s"),
        fingerprint="0" * 32,
        appended_at_ms=1,
        finding=refusal_for(ErrorCode.SERVER_ERROR),
    )
    assert await SessionBook(store=InMemorySessionStore(lambda _: pytest.fail("asked"))).decided(detection, LIVE) == ()


@settings(deadline=None, derandomize=True, database=None)
@from_all(
    order=st.lists(st.integers(1, 3), max_size=12),
    verdicts=st.lists(st.sampled_from([LIVE, SPOOF, TOO_BRIGHT]), min_size=3, max_size=3),
)
async def test_one_end_in_any_order(order, verdicts):
    """Each decision as often and as late as it likes: one end, published with the same words by the one that made
    it."""
    scene = Scene(attempts=3)
    await scene.begin(1, 2, 3)
    told: dict[str, set[bytes]] = {}
    for number in order:
        for event in await scene.decided(number, verdicts[number - 1]):
            told.setdefault(event["state"], set()).add(orjson.dumps(event))
    ends = told.keys() - {"running"}
    assert [len(words) for words in told.values()] == [1] * len(told)
    if LIVE in (verdicts[number - 1] for number in order):
        assert ends == {"succeeded"}
    elif set(order) == {1, 2, 3} and TOO_BRIGHT not in verdicts:
        assert ends == {"failed"}
    else:
        assert ends == set()
