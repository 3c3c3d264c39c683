"""Flags: events written once, and a state that is the same in whatever order they were written."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abuse.event_time import iso8601, milliseconds
from abuse.flags.flag_events import (
    Review,
    cause_of,
    cleared_at,
    cleared_field,
    confirmed,
    expired,
    field_of,
    flags_from,
    overridden,
    published,
    raised,
    stored,
)
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
from tests.unit.abuse.builders import DAY_MS, POLICY_NAME, START_MS, guid, subject

TTL_S = 30 * 86_400
SUBJECT = correlation(guid(1))


def finding(level=1, *, at=0, refusal_ms=1000, **changes):
    """A finding of `level` levels at second `at`."""
    at_ms = START_MS + at * 1000
    fields = {
        "kind": FlagKind.EXCESSIVE_RETRIES,
        "subject": SUBJECT,
        "severities": (Severity.MEDIUM, Severity.MEDIUM, Severity.HIGH)[:level],
        "first_ms": at_ms - 500,
        "at_ms": at_ms,
        "evidence": Evidence(
            used=5,
            limit=5,
            window_s=180,
            counts={"unit": "failures"},
            linked=(
                Linked(correlation_id=guid(1), session_id=None, submission_id="sub-1", at_ms=at_ms - 500, why="spoof"),
            ),
        ),
        "refusal": FlagRefusal(kind=RefusalKind.PAUSED, from_ms=at_ms, until_ms=at_ms + refusal_ms),
        **changes,
    }
    return RuleFinding(**fields)


def events_of(level=1, *, at=0, cause="sub-5", enforced=True, cleared_at_ms=NEVER_CLEARED, **changes):
    return raised(
        finding(level, at=at, **changes),
        tenant="bank-1",
        cause=cause,
        cleared_at_ms=cleared_at_ms,
        enforced=enforced,
        policy=POLICY_NAME,
        ttl_s=TTL_S,
    )


def fields_of(*events):
    """The fields as a table stores them: the first writer of a name wins."""
    fields = {}
    for event in events:
        fields.setdefault(field_of(event), stored(event))
    return fields


def flag_of(*events):
    (flag,) = flags_from(fields_of(*events))
    return flag


def review(at=100, command_id="cmd-1"):
    return Review(command_id=command_id, actor="ada", reason="checked", note="by phone", at_ms=START_MS + at * 1000)


def test_each_level_is_an_event_of_its_own():
    events = events_of(3)
    assert [event.name for event in events] == ["level 1", "level 2", "level 3"]
    assert [orjson.loads(event.document)["state"] for event in events] == ["raised", "escalated", "escalated"]
    assert [orjson.loads(event.document)["severity"] for event in events] == ["medium", "medium", "high"]
    assert len({event.event_id for event in events}) == 3


def test_only_the_highest_level_reached_refuses():
    documents = [orjson.loads(event.document) for event in events_of(2)]
    assert documents[0]["refusal"] is None
    assert documents[1]["refusal"] == {
        "kind": "paused",
        "from": iso8601(START_MS),
        "until": iso8601(START_MS + 1000),
    }


def test_a_raised_flag():
    (event,) = events_of()
    flag = flag_of(event)
    assert (flag.flag_id, flag.tenant, flag.subject, flag.kind) == (
        event.flag_id,
        "bank-1",
        SUBJECT,
        FlagKind.EXCESSIVE_RETRIES,
    )
    assert (flag.state, flag.level, flag.severity, flag.enforced) == (FlagState.RAISED, 1, Severity.MEDIUM, True)
    assert (flag.first_ms, flag.last_ms) == (START_MS - 500, START_MS)
    assert flag.expires_at_ms == START_MS + TTL_S * 1000 == event.expires_at_ms
    assert flag.event == orjson.loads(event.document)
    assert flag.open_at(flag.expires_at_ms - 1)
    assert not flag.open_at(flag.expires_at_ms)


def test_an_escalated_flag_is_as_severe_as_its_last_level_and_refuses_by_all():
    (first,), (_, second) = events_of(at=0), events_of(2, at=500)
    flag = flag_of(first, second)
    assert (flag.state, flag.level) == (FlagState.ESCALATED, 2)
    assert (flag.first_ms, flag.last_ms) == (START_MS - 500, START_MS + 500_000)
    assert flag.expires_at_ms == second.expires_at_ms
    assert flag.refusal_at(START_MS + 500) is not None
    assert flag.refusal_at(START_MS + 500_500) is not None
    assert flag.refusal_at(START_MS + 20_000) is None


@pytest.mark.parametrize(
    ("at_ms", "refused"), [(-180_001, False), (-180_000, True), (0, True), (999, True), (1000, False)]
)
def test_a_refusal_covers_what_was_under_way_with_its_cause_and_what_comes_before_its_end(at_ms, refused):
    assert (flag_of(*events_of()).refusal_at(START_MS + at_ms) is not None) is refused


def test_of_several_refusals_a_block_goes_before_a_pause_and_the_longer_before_the_shorter():
    def until(kind, until_ms):
        return FlagRefusal(kind=kind, from_ms=START_MS, until_ms=START_MS + until_ms)

    short, long, block = (until(RefusalKind.PAUSED, 10), until(RefusalKind.PAUSED, 20), until(RefusalKind.BLOCKED, 5))
    flag = replace(flag_of(*events_of()), refusals=(short, long, block))
    assert flag.refusal_at(START_MS + 1) == block
    assert flag.refusal_at(START_MS + 6) == long
    assert flag.refusal_at(START_MS + 19) == long


def test_confirmed_is_enforced_whatever_the_rule_and_lives_a_full_life_again():
    shadow = flag_of(*events_of(enforced=False))
    word = review(at=1_000_000)
    flag = flag_of(*events_of(enforced=False), confirmed(shadow, word, TTL_S))
    assert (flag.state, flag.enforced) == (FlagState.CONFIRMED, True)
    assert flag.expires_at_ms == word.at_ms + TTL_S * 1000
    refusal = flag.refusal_at(word.at_ms)
    assert refusal == FlagRefusal(kind=RefusalKind.BLOCKED, from_ms=word.at_ms, until_ms=flag.expires_at_ms)
    assert flag.refusal_at(word.at_ms - 180_001) is None
    assert flag.event["review"] == {
        "actor": "ada",
        "reason": "checked",
        "note": "by phone",
        "command_id": "cmd-1",
        "at": iso8601(word.at_ms),
    }


def test_overridden_refuses_nobody_and_is_the_end():
    flag = flag_of(*events_of())
    over = flag_of(*events_of(), overridden(flag, review()))
    assert over.state is FlagState.OVERRIDDEN
    assert over.refusals == ()
    assert not over.open_at(START_MS + 200_000)
    assert flag_of(*events_of(), overridden(flag, review()), expired(flag)).state is FlagState.OVERRIDDEN


def test_the_word_of_a_person_beats_what_a_rule_finds_later():
    flag = flag_of(*events_of())
    for word in (confirmed(flag, review(), TTL_S), overridden(flag, review())):
        state = FlagState(orjson.loads(word.document)["state"])
        later = flag_of(*events_of(), word, *events_of(3, at=500)[1:])
        assert later.state is state
        assert later.refusal_at(START_MS + 500_500) == flag_of(*events_of(), word).refusal_at(START_MS + 500_500)
        assert later.level == 3


def test_the_last_word_counts():
    flag = flag_of(*events_of())
    first, last = confirmed(flag, review(at=1), TTL_S), overridden(flag, review(at=2, command_id="cmd-0"))
    assert flag_of(*events_of(), first, last).state is FlagState.OVERRIDDEN
    earlier, later = overridden(flag, review(at=1)), confirmed(flag, review(at=2, command_id="cmd-0"), TTL_S)
    assert flag_of(*events_of(), earlier, later).state is FlagState.CONFIRMED


def test_an_expired_flag_refuses_nobody():
    flag = flag_of(*events_of(refusal_ms=TTL_S * 2000))
    ended = flag_of(*events_of(refusal_ms=TTL_S * 2000), expired(flag))
    assert ended.state is FlagState.EXPIRED
    assert not ended.open_at(START_MS + 1)
    assert ended.event["refusal"] is None
    assert ended.event["timestamp"] == iso8601(flag.expires_at_ms)


def test_expiry_is_the_same_bytes():
    flag = flag_of(*events_of(2))
    assert expired(flag) == expired(flag_of(*reversed(events_of(2))))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_flag_confirmed_just_before_its_end_ends_another_time(order):
    """A sweep may have written the end before the command came."""
    levels = events_of()
    flag = flag_of(*levels)
    word = confirmed(flag, review(at=TTL_S - 1), TTL_S)
    events = [levels[0], expired(flag), word]
    after = flag_of(*(events[which] for which in order))
    assert (after.state, after.expires_at_ms) == (FlagState.CONFIRMED, START_MS + (2 * TTL_S - 1) * 1000)
    assert after.refusal_at(START_MS + (TTL_S + 5) * 1000) is not None
    end = expired(after)
    assert end.event_id != expired(flag).event_id
    assert flag_of(*events, end).state is FlagState.EXPIRED


def test_a_flag_that_escalated_lives_as_long_as_its_last_level():
    first, (_, second) = events_of(at=0), events_of(2, at=50)
    too_early = expired(flag_of(*first))
    assert flag_of(*first, second, too_early).state is FlagState.ESCALATED
    assert flag_of(*first, second, expired(flag_of(*first, second))).state is FlagState.EXPIRED


@pytest.mark.parametrize("number", range(7))
def test_every_event_is_found_again_in_what_was_published(number):
    event = history()[number]
    assert published(event.document) == event


def history():
    """Fields of a flag with events of every state."""
    levels = [*events_of(1, at=0), *events_of(2, at=50)[1:], *events_of(3, at=90)[2:]]
    flag = flag_of(*levels)
    return [
        *levels,
        confirmed(flag, review(100, "cmd-1"), TTL_S),
        overridden(flag, review(200, "cmd-2")),
        confirmed(flag, review(150, "cmd-3"), TTL_S),
        expired(flag),
    ]


@given(st.sets(st.integers(0, len(history()) - 1), min_size=1), st.randoms(use_true_random=False))
def test_the_order_in_which_events_were_written_does_not_matter(which, chance: random.Random):
    events = [history()[number] for number in sorted(which)]
    expected = flag_of(*events)
    again = events + chance.choices(events, k=3)
    chance.shuffle(again)
    assert flag_of(*again) == expected


def test_flags_of_a_subject_are_told_apart():
    others = events_of(at=0, kind=FlagKind.ATTACK_FREQUENCY), events_of(at=2 * 86_400)
    mine = events_of(2)
    events = [*mine, *others[0], *others[1]]
    for order in itertools.permutations(events):
        assert len(flags_from(fields_of(*order))) == 3


def test_an_id_is_that_of_its_tenant_kind_subject_and_day():
    def made(tenant="bank-1", kind=FlagKind.EXCESSIVE_RETRIES, of=SUBJECT, window="1"):
        return flag_id(tenant, kind, of, window)

    others = [
        made(tenant=None),
        made(tenant="bank-2"),
        made(kind=FlagKind.ATTACK_FREQUENCY),
        made(of=correlation(guid(2))),
        made(of=subject(SubjectType.DEVICE, 1)),
        made(window="2"),
    ]
    assert len({made(), *others}) == 7
    assert made() == "fl_" + made()[3:]
    assert made() == flag_id("bank-1", FlagKind.EXCESSIVE_RETRIES, correlation(guid(1)), "1")


def test_a_day_is_one_in_utc_and_an_episode_after_a_clearing_another():
    midnight = 20_000 * DAY_MS
    assert window_name(midnight - 1, NEVER_CLEARED) != window_name(midnight, NEVER_CLEARED)
    assert window_name(midnight, NEVER_CLEARED) == window_name(midnight + DAY_MS - 1, NEVER_CLEARED)
    names = {window_name(midnight, cleared) for cleared in (NEVER_CLEARED, 0, midnight - 5, midnight - 4)}
    assert len(names) == 4


def test_up_to_when_a_subject_is_cleared():
    assert cleared_at({}) == NEVER_CLEARED
    fields = dict([cleared_field("cmd-1", 500), cleared_field("cmd-2", 90)])
    assert cleared_at({**fields_of(*events_of()), **fields}) == 500
    assert len(flags_from({**fields_of(*events_of()), **fields})) == 1


def test_a_stored_event_names_its_cause():
    (event,) = events_of(cause="sub~5")
    assert cause_of(stored(event)) == "sub~5"
    assert stored(event).endswith(event.document.decode())


@given(st.integers(0, 253_402_300_799_999))
def test_event_time_in_text_and_back(at_ms):
    assert milliseconds(iso8601(at_ms)) == at_ms


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-02", "2026-01-02T03:04:05"])
def test_what_is_no_time_with_a_zone_is_refused(text):
    with pytest.raises((ValueError, TypeError)):
        milliseconds(text)
