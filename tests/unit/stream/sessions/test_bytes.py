"""Bytes of sessions that other versions and other systems read: stored records, and published events."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from stream.events.message.session_terms import LivenessMode
from stream.events.wire.session_events import session_output
from stream.sessions.changes import created_event, end_event, running_event
from stream.sessions.session import (
    ATTEMPT,
    CREATED,
    END,
    SessionAttempt,
    SessionEnd,
    SessionState,
    session_from,
)
from stream.sessions.session_record import record_from, record_of_answer, to_text
from tests.unit.stream.json_schema import SESSION_SCHEMA, changed, violations
from tests.unit.stream.review.command_cases import header
from tests.unit.stream.sessions.builders import session_record, token_of

RECORD = session_record(
    tenant="acme", challenges=("blink", "smile"), colours=("red", "blue", "red", "green"), colour_ms=300
)
#: As the first version wrote it, before any field that has a default.
FIRST = (
    '{"session_id":"ls_00000000000000000000000000000001","tenant":"acme",'
    '"correlation_id":"0f8fad5b-d9cb-469f-a165-70867728950e","client_request_token":"request-1","asked":"00",'
    '"mode":"passive","threshold":75,"challenges":["blink","smile"],"colours":["red","blue","red","green"],'
    '"colour_ms":300,"attempts":2,"created_s":1699999995,"expires_s":1700000595,"token_id":"jti-1","kid":"k1"}'
)
ATTEMPT_TEXT = "0123456789abcdef0123456789abcdef 1700000000000 sub-1"
END_TEXT = '{"state":"expired","at_ms":1700000595000,"cause":"expiry","used":1,"submission_id":null,"result":null}'


def session(**fields: str) -> Any:
    found = session_from({CREATED: to_text(RECORD), f"{ATTEMPT}1": ATTEMPT_TEXT} | fields)
    assert found is not None
    return found


def test_record_of_an_earlier_version_and_of_a_later_one():
    assert record_from(FIRST) == RECORD
    assert record_from(orjson.dumps({**orjson.loads(FIRST), "newer": 1}).decode()) == RECORD
    assert orjson.loads(to_text(RECORD)).items() >= orjson.loads(FIRST).items()


def test_fields_of_an_earlier_version():
    found = session(**{END: END_TEXT})
    taken = SessionAttempt(fingerprint=ATTEMPT_TEXT[:32], at_ms=1_700_000_000_000, submission_id="sub-1")
    assert (found.attempts, taken.to_text()) == ({1: taken}, ATTEMPT_TEXT)
    expired = SessionEnd(state=SessionState.EXPIRED, at_ms=RECORD.expires_ms, cause="expiry", used=1)
    assert (found.end, expired.to_text()) == (expired, END_TEXT)


EVENTS = {
    "created": created_event(session(), token_of(RECORD)),
    "running": running_event(session()),
    "expired": end_event(session(**{END: END_TEXT})),
}


@pytest.mark.parametrize("state", EVENTS)
def test_published_event(state):
    """An id for each state, so that a repeat can be told; a token in the answer alone."""
    event = EVENTS[state]
    output = session_output(event, "sessions", "/test")
    assert violations(orjson.loads(output.value or b""), SESSION_SCHEMA) == []
    assert (header(output, "ce_type"), header(output, "ce_id")) == (
        "liveness.session.v1",
        f"{RECORD.session_id}-{state}",
    )
    assert (output.key, header(output, "ce_tenant")) == (RECORD.correlation_id.encode(), "acme")
    assert ("token" in event.document) is (state == "created")
    assert token_of(RECORD) not in repr(event) + repr(output)


#: Of the header for a rebuild, as the first version wrote it; what the answer itself tells is not in it.
HEADERS = {
    "created": {"created": FIRST.replace('"token_id":"jti-1",', "")},
    "running": {"attempt:1": ATTEMPT_TEXT},
    "expired": {"end": END_TEXT},
}


@pytest.mark.parametrize("state", HEADERS)
def test_header_for_a_rebuild(state):
    """An earlier version's header is read, and ours holds no credential."""
    event, told = EVENTS[state], HEADERS[state]
    ours = orjson.loads(header(session_output(event, "sessions", "/test"), "liveness_session") or "")
    assert "jti" not in str(ours) + str(event.fields)
    if state == "created":
        assert record_of_answer(told["created"], event.document) == RECORD
        assert record_of_answer(ours["created"], event.document) == RECORD
    else:
        assert ours == told


def test_events_from_before_the_active_step_stay_the_same():
    """A command that is sent again later gets the same answer."""
    passive_active = {CREATED: to_text(replace(RECORD, mode=LivenessMode.PASSIVE_ACTIVE))}
    before, after = session(**passive_active), session(**passive_active, active="1")
    assert created_event(before, "token") == created_event(after, "token")
    assert running_event(before) == running_event(after)


@pytest.mark.parametrize("field", sorted(SESSION_SCHEMA["required"]))
def test_schema_asks_for_every_field(field):
    """Fields are added, never taken away."""
    assert violations(changed(EVENTS["running"].document, [field], ...), SESSION_SCHEMA)
    assert violations(changed(EVENTS["running"].document, [field], {"x": 1}), SESSION_SCHEMA)


def test_schema_knows_every_state_and_no_other_field():
    assert SESSION_SCHEMA["properties"]["state"]["enum"] == [str(state) for state in SessionState]
    assert violations(changed(EVENTS["running"].document, ["other"], 1), SESSION_SCHEMA)
    assert EVENTS["running"].document.keys() == set(SESSION_SCHEMA["required"])
    answer = {"client_request_token", "token", "retry_count", "open_flags", "warnings"}
    assert EVENTS["created"].document.keys() == set(SESSION_SCHEMA["required"]) | answer
