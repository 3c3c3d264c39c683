"""Flags: events written once, and a state that is the same in whatever order they were written.

Which events a flag's severity and place in the index follow from: `tests/contract/test_flag_index.py`.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abuse.event_time import iso8601, milliseconds
from abuse.flags import flag_events
from abuse.flags.flag_events import expired, field_of, flags_from, overridden, published, raised, stored
from abuse.flags.flags import (
    NEVER_CLEARED,
    Evidence,
    FlagKind,
    FlagRefusal,
    FlagState,
    Linked,
    RefusalKind,
    RuleFinding,
    Severity,
    flag_id,
    window_name,
)
from abuse.subjects import SubjectType, correlation
from tests.unit.abuse.builders import DAY_MS, POLICY_NAME, START_MS, guid, review, subject

TTL_S = 30 * 86_400
SUBJECT = correlation(guid(1))


def events_of(level=1, *, at=0, cause="sub-5", enforced=True, refusal_ms=1000, **changes):
    """Events of a flag that reached `level` levels at second `at`."""
    at_ms = START_MS + at * 1000
    linked = Linked(correlation_id=guid(1), session_id=None, submission_id="sub-1", at_ms=at_ms - 500, why="spoof")
    fields = {
        "kind": FlagKind.EXCESSIVE_RETRIES,
        "subject": SUBJECT,
        "severities": (Severity.MEDIUM, Severity.MEDIUM, Severity.HIGH)[:level],
        "first_ms": at_ms - 500,
        "at_ms": at_ms,
        "evidence": Evidence(used=5, limit=5, window_s=180, counts={"unit": "failures"}, linked=(linked,)),
        "refusal": FlagRefusal(kind=RefusalKind.PAUSED, from_ms=at_ms, until_ms=at_ms + refusal_ms),
        **changes,
    }
    named = {"tenant": "bank-1", "cause": cause, "policy": POLICY_NAME, "ttl_s": TTL_S}
    return raised(RuleFinding(**fields), cleared_at_ms=NEVER_CLEARED, enforced=enforced, **named)


def fields_of(*events):
    """The fields as a table stores them: the first writer of a name wins."""
    fields = {}
    for event in events:
        fields.setdefault(field_of(event), stored(event))
    return fields


def flag_of(*events):
    (flag,) = flags_from(fields_of(*events))
    return flag


def confirmed(flag, at=100, command_id="c-1"):
    return flag_events.confirmed(flag, review(at, command_id), TTL_S)


def test_each_level_is_an_event_and_the_highest_refuses():
    events = events_of(3)
    documents = [orjson.loads(event.document) for event in events]
    assert [event.name for event in events] == ["level 1", "level 2", "level 3"]
    assert [each["state"] for each in documents] == ["raised", "escalated", "escalated"]
    assert [each["severity"] for each in documents] == ["medium", "medium", "high"]
    assert len({event.event_id for event in events}) == 3
    refusal = {"kind": "paused", "from": iso8601(START_MS), "until": iso8601(START_MS + 1000)}
    assert [each["refusal"] for each in documents] == [None, None, refusal]


def test_raised_flag():
    (event,) = events_of()
    flag = flag_of(event)
    assert (flag.flag_id, flag.tenant, flag.subject) == (event.flag_id, "bank-1", SUBJECT)
    assert (flag.kind, flag.state, flag.level) == (FlagKind.EXCESSIVE_RETRIES, FlagState.RAISED, 1)
    assert (flag.severity, flag.enforced, flag.first_ms, flag.last_ms) == ("medium", True, START_MS - 500, START_MS)
    assert flag.expires_at_ms == START_MS + TTL_S * 1000 == event.expires_at_ms
    assert flag.event == orjson.loads(event.document)
    assert [flag.open_at(flag.expires_at_ms + off) for off in (-1, 0)] == [True, False]


def test_escalated_flag_refuses_by_all_levels():
    (first,), (_, second) = events_of(at=0), events_of(2, at=500)
    flag = flag_of(first, second)
    assert (flag.state, flag.level, flag.expires_at_ms) == (FlagState.ESCALATED, 2, second.expires_at_ms)
    assert (flag.first_ms, flag.last_ms) == (START_MS - 500, START_MS + 500_000)
    refused = [flag.refusal_at(START_MS + at_ms) is not None for at_ms in (500, 500_500, 20_000)]
    assert refused == [True, True, False]


@pytest.mark.parametrize(
    ("at_ms", "refused"), [(-180_001, False), (-180_000, True), (0, True), (999, True), (1000, False)]
)
def test_refusal_covers_what_was_under_way(at_ms, refused):
    assert (flag_of(*events_of()).refusal_at(START_MS + at_ms) is not None) is refused


def test_order_of_refusals():
    """A block goes before a pause, and the longer before the shorter."""
    kinds = ((RefusalKind.PAUSED, 10), (RefusalKind.PAUSED, 20), (RefusalKind.BLOCKED, 5))
    refusals = tuple(FlagRefusal(kind=kind, from_ms=START_MS, until_ms=START_MS + ms) for kind, ms in kinds)
    flag = replace(flag_of(*events_of()), refusals=refusals)
    assert [flag.refusal_at(START_MS + at_ms) for at_ms in (1, 6, 19)] == [refusals[2], refusals[1], refusals[1]]


def test_confirmed_flag_is_enforced():
    """The rule may be a shadow; the flag lives a full life from then on."""
    levels, word = events_of(enforced=False), review(1_000_000)
    flag = flag_of(*levels, flag_events.confirmed(flag_of(*levels), word, TTL_S))
    assert (flag.state, flag.enforced) == (FlagState.CONFIRMED, True)
    assert flag.expires_at_ms == word.at_ms + TTL_S * 1000
    refusal = FlagRefusal(kind=RefusalKind.BLOCKED, from_ms=word.at_ms, until_ms=flag.expires_at_ms)
    assert (flag.refusal_at(word.at_ms), flag.refusal_at(word.at_ms - 180_001)) == (refusal, None)
    said = {"actor": "ann", "reason": "fraud", "note": "by phone", "command_id": "c-1"}
    assert flag.event["review"] == {**said, "at": iso8601(word.at_ms)}


def test_ended_flags_are_not_open():
    levels = events_of(refusal_ms=TTL_S * 2000)
    flag = flag_of(*levels)
    over, ended = flag_of(*levels, overridden(flag, review(100))), flag_of(*levels, expired(flag))
    assert (over.state, over.refusals, over.open_at(START_MS + 1)) == (FlagState.OVERRIDDEN, (), False)
    assert (ended.state, ended.event["refusal"], ended.open_at(START_MS + 1)) == (FlagState.EXPIRED, None, False)
    assert ended.event["timestamp"] == iso8601(flag.expires_at_ms)


RAISED = flag_of(*events_of())
LATER = events_of(2, at=50)[1]
OVER = overridden(RAISED, review(2, "cmd-0"))
WORDS = {
    "an override outlasts the expiry": ([OVER, expired(RAISED)], FlagState.OVERRIDDEN),
    "the last word: an override": ([confirmed(RAISED, 1), OVER], FlagState.OVERRIDDEN),
    "the last word: a confirmation": ([OVER, confirmed(RAISED, 3, "cmd-")], FlagState.CONFIRMED),
    "an expiry from before the escalation": ([LATER, expired(RAISED)], FlagState.ESCALATED),
    "an expiry after the escalation": ([LATER, expired(flag_of(*events_of(), LATER))], FlagState.EXPIRED),
}


@pytest.mark.parametrize(("events", "state"), WORDS.values(), ids=WORDS)
def test_state_of_several_events(events, state):
    for order in itertools.permutations([*events_of(), *events]):
        assert flag_of(*order).state is state


def test_word_of_a_person_beats_later_findings():
    for word in (confirmed(RAISED), overridden(RAISED, review(100))):
        later = flag_of(*events_of(), word, *events_of(3, at=500)[1:])
        assert (later.state, later.level) == (orjson.loads(word.document)["state"], 3)
        assert later.refusal_at(START_MS + 500_500) == flag_of(*events_of(), word).refusal_at(START_MS + 500_500)


def test_flag_confirmed_just_before_its_end_ends_another_time():
    """A sweep may have written the end before the command came."""
    events = [*events_of(), expired(RAISED), confirmed(RAISED, TTL_S - 1)]
    after = flag_of(*events)
    assert (after.state, after.expires_at_ms) == (FlagState.CONFIRMED, START_MS + (2 * TTL_S - 1) * 1000)
    assert after.refusal_at(START_MS + (TTL_S + 5) * 1000) is not None
    assert expired(after).event_id != expired(RAISED).event_id
    assert flag_of(*events, expired(after)).state is FlagState.EXPIRED


def history():
    """A flag's events of every state."""
    levels = [*events_of(1, at=0), *events_of(2, at=50)[1:], *events_of(3, at=90)[2:]]
    flag = flag_of(*levels)
    words = [confirmed(flag, 100), overridden(flag, review(200, "cmd-2")), confirmed(flag, 150, "cmd-3")]
    return [*levels, *words, expired(flag)]


HISTORY = history()


@pytest.mark.parametrize("event", HISTORY, ids=lambda event: event.name)
def test_published_event_is_read_back(event):
    assert published(event.document) == event


@given(st.sets(st.sampled_from(HISTORY), min_size=1), st.randoms(use_true_random=False))
def test_order_of_events_does_not_matter(chosen, chance: random.Random):
    events = sorted(chosen, key=HISTORY.index)
    expected = flag_of(*events)
    again = events + chance.choices(events, k=3)
    chance.shuffle(again)
    assert flag_of(*again) == expected


def test_flags_of_a_subject_are_told_apart():
    events = [*events_of(2), *events_of(kind=FlagKind.ATTACK_FREQUENCY), *events_of(at=2 * 86_400)]
    for order in itertools.permutations(events):
        assert len(flags_from(fields_of(*order))) == 3


def test_id_is_of_tenant_kind_subject_and_day():
    mine = ("bank-1", FlagKind.EXCESSIVE_RETRIES, SUBJECT, "1")
    device = subject(SubjectType.DEVICE, 1)
    others = [
        (0, None),
        (0, "bank-2"),
        (1, FlagKind.ATTACK_FREQUENCY),
        (2, correlation(guid(2))),
        (2, device),
        (3, "2"),
    ]
    made = {flag_id(*mine[:place], other, *mine[place + 1 :]) for place, other in others}
    assert len({flag_id(*mine), *made}) == 7
    assert flag_id(*mine) == flag_id("bank-1", FlagKind.EXCESSIVE_RETRIES, correlation(guid(1)), "1")


def test_window_is_a_day_in_utc_and_a_clearing_begins_another():
    midnight = 20_000 * DAY_MS
    days = [window_name(at_ms, NEVER_CLEARED) for at_ms in (midnight - 1, midnight, midnight + DAY_MS - 1)]
    assert days[0] != days[1] == days[2]
    assert len({window_name(midnight, cleared) for cleared in (NEVER_CLEARED, 0, midnight - 5, midnight - 4)}) == 4


def test_time_of_clearing():
    assert flag_events.cleared_at({}) == NEVER_CLEARED
    fields = fields_of(*events_of()) | dict(flag_events.cleared_field(*each) for each in (("c-1", 500), ("c-2", 90)))
    assert flag_events.cleared_at(fields) == 500
    assert len(flags_from(fields)) == 1


def test_stored_event_names_its_cause():
    (event,) = events_of(cause="sub~5")
    assert flag_events.cause_of(stored(event)) == "sub~5"
    assert stored(event).endswith(event.document.decode())


@given(st.integers(0, 253_402_300_799_999))
def test_event_time_in_text_and_back(at_ms):
    assert milliseconds(iso8601(at_ms)) == at_ms


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-02", "2026-01-02T03:04:05"])
def test_text_without_a_zone_is_refused(text):
    with pytest.raises((ValueError, TypeError)):
        milliseconds(text)
