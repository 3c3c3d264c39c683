"""Sessions in a Redis made anew: as they were, with no attempt more, and with the same answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from abuse.redis_port import RedisClient
from abuse.review.erased import Erased
from abuse.review.erasure import digest_of
from abuse.subjects import SubjectType
from stream.events.message.messages import SESSION_HEADER, Record, Refusal
from stream.events.message.session_terms import FramePart, LivenessMode
from stream.events.wire.session_events import session_output
from stream.maintenance.rebuild_records import NOT_OURS
from stream.maintenance.sessions_restoring import PUBLISHED_WITHIN_S
from stream.redis.session_store import RedisSessionStore
from stream.sessions.changes import created_event, end_event
from stream.sessions.expiry import expire
from stream.sessions.session import ATTEMPT, CREATED, END, SessionEnd, SessionState, session_from
from stream.sessions.session_record import SessionRecord, to_text
from stream.sessions.session_store import SessionName
from tests.unit.abuse.builders import at_ms
from tests.unit.stream.builders import APPENDED_AT_MS, GUID
from tests.unit.stream.maintenance.session_cases import NOW_MS, RETENTION_S, SESSIONS, Lost, made
from tests.unit.stream.maintenance.test_rebuild import topics
from tests.unit.stream.review.command_cases import DECIDED_S, Reviewer
from tests.unit.stream.sessions.builders import CREATED_S, token_of
from tests.unit.stream.sessions.test_book import GIVEN_BACK, LIVE, SPOOF, TOO_BRIGHT
from tests.unit.stream.sessions.test_desk import cancel, create
from tests.unit.stream.sessions.test_gate import submission

__all__ = ["topics"]  # a fixture


@pytest.fixture
def lost(calls: RedisClient, topics: dict[str, list[Any]]) -> Lost:
    return Lost(calls, topics)


async def fresh(lost: Lost, record: SessionRecord) -> None:
    """A session with whose token nothing was sent."""


async def under_way(lost: Lost, record: SessionRecord) -> None:
    await lost.taken(record, 1)


async def failed_once(lost: Lost, record: SessionRecord) -> None:
    await lost.taken(record, 1, SPOOF)


async def given_back(lost: Lost, record: SessionRecord) -> None:
    await lost.taken(record, 1, GIVEN_BACK)


async def failed(lost: Lost, record: SessionRecord) -> None:
    await lost.taken(record, 1, SPOOF)
    await lost.taken(record, 2, SPOOF)


async def succeeded(lost: Lost, record: SessionRecord) -> None:
    await lost.taken(record, 1, SPOOF)
    await lost.taken(record, 2, LIVE)


async def challenged(lost: Lost, record: SessionRecord) -> None:
    await lost.taken(record, 1, GIVEN_BACK)
    await lost.taken(record, 2, TOO_BRIGHT)
    await lost.taken(record, 3, SPOOF)


async def in_frames(lost: Lost, record: SessionRecord) -> None:
    """A record a frame: one attempt."""
    for index in range(2):
        part = FramePart(frame_index=index, frame_count=8)
        given = replace(submission(1, token=token_of(record)), part=part, fingerprint=f"{index:032x}")
        await lost.taken(record, 1, given=given)


async def cancelled(lost: Lost, record: SessionRecord) -> None:
    await lost.taken(record, 1, SPOOF)
    end = SessionEnd(state=SessionState.CANCELLED, at_ms=APPENDED_AT_MS, cause="c-1", used=1)
    fields = await lost.before.add(SessionName(None, record.session_id), {END: end.to_text()})
    session = session_from(fields)
    assert session is not None
    lost.tell(end_event(session))


async def expired(lost: Lost, record: SessionRecord) -> None:
    await lost.taken(record, 1, SPOOF)
    lost.tell(await expire(lost.before, SessionName(None, record.session_id)))


LIVES = [fresh, under_way, failed_once, given_back, failed, succeeded, challenged, in_frames, cancelled, expired]


@pytest.mark.parametrize("live", LIVES, ids=[each.__name__ for each in LIVES])
async def test_as_it_was(lost: Lost, live: Callable[[Lost, SessionRecord], Awaitable[None]]) -> None:
    """The same fields, and so the same answers to who comes with the token; once more changes nothing."""
    record = await lost.created(mode=LivenessMode.PASSIVE_ACTIVE, challenges=("smile", "head_left"))
    await live(lost, record)
    done = await lost.rebuilt()
    assert (done.sessions, done.unreadable, done.unauthenticated) == (1, 0, 0)
    was = await lost.held(record, lost.before)
    assert (await lost.held(record), (await lost.rebuilt()).sessions) == (was, 0)
    assert await lost.held(record) == was
    for number in range(1, 6):
        given = submission(number, token=token_of(record))
        answers = [await lost.gate(store).admit(given, required=True) for store in (lost.before, lost.after)]
        assert answers[0] == answers[1]


async def test_found_and_ended_by_the_sweep(lost: Lost) -> None:
    """Queries and erasures find it, the sweep ends it unless it has ended, and no key is kept longer than it was."""
    open_one, ended = await lost.created(1), await lost.created(2)
    await failed(lost, ended)
    await lost.rebuilt()
    page = await lost.after.listed(None, GUID, limit=9)
    assert (len(page.sessions), await lost.after.held(None, GUID)) == (2, 2)
    assert await lost.after.due(open_one.expires_ms, 9) == [SessionName(None, open_one.session_id)]
    (left,) = await lost.calls.execute([("PTTL", f"after:session:{{|{open_one.session_id}}}")])
    assert isinstance(left, int)
    assert 0 < left <= open_one.expires_ms + 3_600_000 - NOW_MS


async def test_attempts_that_nobody_tells_are_spent(lost: Lost, topics: dict[str, list[Any]]) -> None:
    """The detection of the first attempt was never published: the worker ended, and Redis with it."""
    record = await lost.created(attempts=2)
    await lost.taken(record, 1)
    await lost.taken(record, 2, SPOOF)
    topics["liveness.detections"].pop(0)
    await lost.rebuilt()
    session = await lost.session(record)
    assert (session.used, session.next_attempt) == (2, None)
    for number in (1, 3):
        refused = await lost.gate(lost.after).admit(submission(number, token=token_of(record)), required=True)
        assert isinstance(refused, Refusal)
        assert refused.reason == "session_attempts_spent"


async def test_decision_on_other_content_gives_nothing_back(lost: Lost) -> None:
    """The submission id was used twice: the decision that owns it is not on the second picture."""
    record = await lost.created(attempts=2)
    first = await lost.taken(record, 1, GIVEN_BACK)
    await lost.taken(record, 1, given=replace(submission(1, token=token_of(record)), fingerprint="f" * 32))
    await lost.rebuilt()
    assert (await lost.session(record)).outcomes == {1: "unspent"}
    assert (await lost.session(record)).attempt_of(first.fingerprint) == 1
    assert (await lost.session(record)).used == 1


@pytest.mark.parametrize(("after_expiry_s", "is_back"), [(-1, True), (0, True), (3599, True), (3600, False)], ids=str)
async def test_kept_as_long_as_it_would_have_been(lost: Lost, after_expiry_s: int, is_back: bool) -> None:
    """An expired session still answers its client request token; no longer than its retention."""
    record = await lost.created()
    lost.now_ms = record.expires_ms + after_expiry_s * 1000
    assert (await lost.rebuilt()).sessions == is_back
    assert bool(await lost.held(record)) is is_back


async def test_same_answer_to_the_same_request(lost: Lost) -> None:
    """A client request token under another command id, and the same command again, get the session that they had."""
    given = create(correlation_id=GUID)
    answer, _ = await lost.obeyed(given)
    lost.now_ms, lost.reviewer = at_ms(DECIDED_S) + 5000, Reviewer()
    assert (await lost.rebuilt()).sessions == 1
    for again in (given, create(correlation_id=GUID, command_id="another")):
        assert (await lost.obeyed_anew(again))[0] == answer
    (refused, _) = await lost.obeyed_anew(create(correlation_id=GUID, command_id="third", attempts=3))
    assert orjson.loads(refused.value or b"")["error"]["code"] == "REQUEST_TOKEN_USED"


async def test_cancellation_sent_again(lost: Lost) -> None:
    created, _ = await lost.obeyed(create(correlation_id=GUID))
    given = cancel(orjson.loads(created.value or b"")["session_id"])
    cancelled, _ = await lost.obeyed(given)
    lost.now_ms, lost.reviewer = at_ms(DECIDED_S) + 5000, Reviewer()
    await lost.rebuilt()
    assert (await lost.obeyed_anew(given))[0] == cancelled


def changed_header(record: Record, **changes: str) -> Record:
    """The record with other fields in its header, under the MAC as it was."""
    told = {**orjson.loads(dict(record.headers)[SESSION_HEADER]), **changes}
    headers = tuple((name, orjson.dumps(told) if name == SESSION_HEADER else value) for name, value in record.headers)
    return replace(record, headers=headers)


async def test_forged_events(lost: Lost, topics: dict[str, list[Any]]) -> None:
    """An answer with more attempts, an end, an attempt given back: none of them is believed."""
    record = await lost.created(attempts=1)
    await lost.taken(record, 1, SPOOF)
    genuine = list(topics[SESSIONS])
    created = dict(genuine[0].headers)[SESSION_HEADER]
    more = orjson.dumps({**orjson.loads(orjson.loads(created)["created"]), "attempts": 3}).decode()
    forged = [changed_header(genuine[0], created=more), changed_header(genuine[-1], end=b"{}".decode())]
    unsigned = session_output(created_event(session_from_record(2), token_of(made(2))), SESSIONS, "/test")
    place = {"topic": SESSIONS, "partition": 0, "offset": 0, "appended_at_ms": APPENDED_AT_MS}
    forged.append(Record(**place, key=unsigned.key, value=unsigned.value, headers=unsigned.headers))
    topics[SESSIONS][:0] = forged
    done = await lost.rebuilt()
    assert (done.sessions, done.unauthenticated) == (1, len(forged))
    assert await lost.held(record) == await lost.held(record, lost.before)
    assert await lost.held(made(2)) == {}


def session_from_record(number: int) -> Any:
    found = session_from({CREATED: to_text(made(number))})
    assert found is not None
    return found


#: What a record of the topic is turned into, that no worker would have written.
NONSENSE: dict[str, dict[str, Any]] = {
    "no JSON": {"header": b"{"},
    "a list": {"header": b"[]"},
    "numbers": {"header": b'{"end": 1}'},
    "no record": {"header": b'{"created": "{}"}'},
    "another id": {"created": {"session_id": "ls_" + "0" * 32}},
    "another tenant": {"created": {"tenant": "acme"}},
    "a tenant of two": {"created": {"tenant": "a|b"}},
    "more attempts": {"created": {"attempts": 4}},
    "a long life": {"created": {"expires_s": CREATED_S + 90_000}},
    "no life": {"created": {"expires_s": CREATED_S}},
    "another person": {"created": {"correlation_id": "somebody"}},
    "no token": {"value": {"token": "x"}},
    "no id in the token": {"value": {"token": "e30.e30.e30"}},
}


@pytest.mark.parametrize("changes", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense(lost: Lost, topics: dict[str, list[Any]], changes: dict[str, Any]) -> None:
    """Where record keys are not set, anybody may write to the topic."""
    await lost.created()
    (record,) = topics[SESSIONS]
    told = orjson.loads(dict(record.headers)[SESSION_HEADER])
    created = orjson.dumps({**orjson.loads(told["created"]), **changes.get("created", {})}).decode()
    header = changes.get("header", orjson.dumps({"created": created}))
    value = orjson.dumps({**orjson.loads(record.value or b""), **changes.get("value", {})})
    with pytest.raises(NOT_OURS):
        lost.restoring().read(replace(record, value=value, headers=((SESSION_HEADER, header),)))


#: Fields that no worker writes: what is told of an attempt with these would end the worker.
IMPOSSIBLE = {
    "an end of nothing": {END: "{}"},
    "an end at no time": {END: '{"state": "failed", "at_ms": "x", "cause": "attempt:1", "used": 1}'},
    "an end after all days": {END: f'{{"state": "failed", "at_ms": {10**18}, "cause": "attempt:1", "used": 1}}'},
    "less than none used": {END: '{"state": "failed", "at_ms": 1, "cause": "attempt:1", "used": -1}'},
    "an attempt after all days": {f"{ATTEMPT}1": f"{'a' * 32} {10**18} sub-1"},
    "an attempt before the first": {f"{ATTEMPT}-1": f"{'a' * 32} 1 sub-1"},
    "an attempt beyond all": {f"{ATTEMPT}65": f"{'a' * 32} 1 sub-1"},
    "an outcome beyond all": {"outcome:65": "unspent"},
    "challenges beyond all": {"active": "65"},
    "less than none spent": {"spent": "-1"},
}


@pytest.mark.parametrize("fields", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
async def test_impossible_changes(lost: Lost, topics: dict[str, list[Any]], fields: dict[str, str]) -> None:
    record = await lost.created()
    await failed(lost, record)
    told = lost.restoring().read(replace(topics[SESSIONS][-1], headers=((SESSION_HEADER, orjson.dumps(fields)),)))
    await lost.restoring().create([record], Erased(), NOW_MS)
    before = await lost.held(record)
    assert told is not None
    assert await lost.restoring().change([told]) == 1
    assert await lost.held(record) == before


async def test_events_without_fields(lost: Lost, topics: dict[str, list[Any]]) -> None:
    """Refusals, and events of an earlier release, restore nothing and are no fault."""
    await lost.created()
    topics[SESSIONS][:] = [replace(topics[SESSIONS][0], headers=())]
    assert lost.restoring().read(topics[SESSIONS][0]) is None


async def test_erased_person(lost: Lost) -> None:
    record = await lost.created()
    digest = digest_of(None, SubjectType.CORRELATION_ID, GUID)
    restoring = lost.restoring()
    for until_ms, restored in ((CREATED_S * 1000, 0), (CREATED_S * 1000 - 1, 1)):
        assert await restoring.create([record], Erased({digest: until_ms}), NOW_MS) == restored


async def test_end_before_its_session(lost: Lost, topics: dict[str, list[Any]]) -> None:
    """Partitions were added in between, and the new one is read first."""
    record = await lost.created()
    await succeeded(lost, record)
    topics[SESSIONS].reverse()
    await lost.rebuilt()
    assert (await lost.session(record)).state is SessionState.SUCCEEDED


async def test_earlier_session_of_the_same_name(lost: Lost, topics: dict[str, list[Any]]) -> None:
    """The end and attempts of the first are not those of the session that the same request token made later."""
    earlier = await lost.created(created_s=CREATED_S - 4000, expires_s=CREATED_S + 500, token_id="earlier")
    await succeeded(lost, earlier)
    topics[SESSIONS].pop(0)  # past its retention
    lost.before = RedisSessionStore(lost.calls, "later:", RETENTION_S)
    later = await lost.created()
    await lost.rebuilt()
    assert await lost.held(later) == await lost.held(later, lost.before)


async def test_beside_workers(lost: Lost) -> None:
    """Fields that workers wrote since stand: another submission took the attempt, and a command ended the session."""
    record = await lost.created(attempts=1)
    await lost.taken(record, 1, LIVE)
    await lost.after.create(record)
    end = SessionEnd(state=SessionState.CANCELLED, at_ms=NOW_MS, cause="c-2", used=0)
    newer = {f"{ATTEMPT}1": f"{'9' * 32} 1 sub-9", END: end.to_text()}
    held = await lost.after.add(SessionName(None, record.session_id), newer)
    assert (await lost.rebuilt()).sessions == 0
    assert {**await lost.held(record), **held} == await lost.held(record)


@pytest.mark.parametrize("live", LIVES, ids=[each.__name__ for each in LIVES])
async def test_older_copy(lost: Lost, live: Callable[[Lost, SessionRecord], Awaitable[None]]) -> None:
    """A copy from before the first attempt gets what it lacks."""
    record = await lost.created(mode=LivenessMode.PASSIVE_ACTIVE, challenges=("smile", "head_left"))
    await lost.after.create(record)
    await live(lost, record)
    assert (await lost.rebuilt()).sessions == 0
    assert await lost.held(record) == await lost.held(record, lost.before)


async def test_submissions_under_analysis_are_waited_for(lost: Lost, topics: dict[str, list[Any]]) -> None:
    """Detections that spend attempts come later than the loss; without a good token nothing is waited for."""
    record = await lost.created()
    await lost.taken(record, 1)
    late, topics["liveness.detections"] = topics["liveness.detections"], []

    async def sleep(seconds: float) -> None:
        lost.waited.append(seconds)
        topics["liveness.detections"] = late

    await lost.rebuilt(sleep=sleep)
    assert (await lost.session(record)).used == 1
    (waited,) = lost.waited
    assert 25 < waited <= 25 + PUBLISHED_WITHIN_S
    await lost.rebuilt(monotonic=lambda: float("inf"))
    lost.now_ms = record.expires_ms
    await lost.rebuilt()
    assert lost.waited == [waited]
