"""The engine over the in-memory table: what it says before and after, once and again, under switches and reviews."""

from __future__ import annotations

from dataclasses import replace

import pytest

from abuse.flags.flag_events import Review, cleared_field, confirmed, overridden
from abuse.flags.flags import FlagKind, FlagState, RefusalKind
from abuse.observation import Finding
from abuse.rules.engine import MOST_SESSIONS
from abuse.rules.gate import Gate
from abuse.subjects import Subject, SubjectType, correlation
from config.abuse import AbusePolicy
from tests.unit.abuse.builders import DAY_S, HOUR_S, Table, at_ms, every, guid, seen, series, subject

FIVE = every(10, 5)
SHADOW = {"excessive_retries": {"enforced": False}}


async def hits(table, at_s, *subjects, tenant=None, submission_id="sub-new"):
    gate = Gate(table.ledger, table.engine)
    answer = await gate.ask(tenant, subjects or [correlation(guid(1))], submission_id, at_ms(at_s))
    return answer.hits


def word(at_s, command_id="cmd-1"):
    return Review(command_id=command_id, actor="ada", reason="checked", note="", at_ms=at_ms(at_s))


async def flags_of(table, of=None):
    return (await table.ledger.read_history(None, [of or correlation(guid(1))])).flags


async def override(table, flag, at_s, command_id="cmd-1"):
    await table.ledger.record([overridden(flag, word(at_s, command_id))])
    await table.ledger.clear(None, flag.subject, *cleared_field(command_id, at_ms(at_s)))


async def test_a_flag_stands_until_its_refusal_ends_and_against_what_was_under_way_when_it_was_raised():
    table = Table()
    assert await hits(table, 0) == ()
    await table.see(*series(FIVE))
    for at_s in (-140, 39, 40, 40.001, 1839.999):
        (hit,) = await hits(table, at_s)
        assert (hit.enforced, hit.refusal.kind) == (True, RefusalKind.PAUSED)
        assert hit.flag.kind is FlagKind.EXCESSIVE_RETRIES
    for at_s in (-140.001, 1840, 5000):
        assert await hits(table, at_s) == ()


async def test_a_flag_does_not_stand_against_the_submission_that_raised_it():
    """Its worker may have died with the flag written and the decision not: it is analysed again, to the same end."""
    table = Table()
    await table.see(*series(FIVE))
    assert await hits(table, 40, submission_id="sub-5") == ()
    assert len(await hits(table, 40, submission_id="sub-4")) == 1


async def test_an_enforced_rule_with_a_short_window_leaves_no_hour_of_the_day_free():
    """It flags once a day, so what it found must last as long."""
    table = Table(AbusePolicy.model_validate({"address_velocity": {"submissions": 5, "enforced": True}}))
    address = subject(SubjectType.ADDRESS, 1)
    await table.see(*series(every(1, 5), address=1, finding=Finding.LIVE))
    until_midnight = [5.0, HOUR_S + 60.0, 17 * HOUR_S]
    assert [len(await hits(table, at_s, address)) for at_s in until_midnight] == [1, 1, 1]
    assert await hits(table, 18 * HOUR_S, address) == ()


async def test_flags_of_others_stand_against_nobody():
    table = Table()
    await table.see(*series(FIVE))
    assert await hits(table, 41, correlation(guid(2))) == ()
    assert await hits(table, 41, tenant="bank-1") == ()


async def test_enforced_goes_before_shadow_then_blocks_then_the_longest():
    policy = AbusePolicy.model_validate(
        {
            "attack_frequency": {"attacks": 5, "window_s": 100},
            "device_velocity": {"ids": 2, "submissions": 5, "window_s": 200},
            "address_velocity": {"submissions": 5, "enforced": True, "window_s": 300},
        }
    )
    table = Table(policy)
    await table.see(*series(FIVE, device=1, address=1))
    subjects = [correlation(guid(1)), subject(SubjectType.DEVICE, 1), subject(SubjectType.ADDRESS, 1)]
    found = await hits(table, 41, *subjects)
    assert [(each.flag.kind, each.enforced) for each in found] == [
        ("address_velocity", True),
        ("excessive_retries", True),
        ("device_velocity", False),
        ("attack_frequency", False),
    ]


async def test_assessment_holds_own_flag():
    table = Table()
    before = await table.see(*series(FIVE[:4]))
    assert (before.flags, before.events, before.is_abuse_detected) == ((), (), False)
    after = await table.see(seen(5, FIVE[4]))
    (flag,) = after.flags
    assert flag.state is FlagState.RAISED
    assert after.is_abuse_detected
    assert [event.name for event in after.events] == ["level 1"]
    assert (await flags_of(table)) == after.flags


async def test_redelivered_it_says_the_same_again_and_only_what_was_its_own():
    table = Table()
    observations = series(FIVE)
    for each in observations[:-1]:
        await table.see(each)
    first = await table.see(observations[-1])
    told = list(table.recorded)
    assert len(told) == 1
    for each in observations[:-1]:
        again = await table.see(each)
        assert again.events == ()
        assert again.flags == first.flags
    assert table.recorded == told
    await table.see(observations[-1])
    assert table.recorded == told * 2, "the same bytes"


async def test_a_later_attempt_does_not_repeat_what_an_earlier_one_brought_about():
    table = Table()
    await table.see(*series(every(1, 8), finding=Finding.SPOOF))
    by_cause = {event.name: event.cause for event in table.recorded if b"excessive" in event.document}
    assert by_cause == {"level 1": "sub-5"}
    by_cause = {event.name: event.cause for event in table.recorded if b"attack_frequency" in event.document}
    assert by_cause == {"level 1": "sub-8"}


async def test_a_crash_between_storing_and_publishing_loses_no_event():
    table = Table()
    observations = series(FIVE)
    await table.see(*observations[:-1])
    lost = table.engine.assess(observations[-1], await table.ledger.observe(observations[-1])).events
    await table.ledger.record(lost)
    await table.see(seen(6, 41))
    await table.see(observations[-1])
    assert [event.document for event in table.recorded] == [event.document for event in lost]


async def test_a_crash_before_storing_leaves_the_flag_to_the_next_attempt():
    table = Table()
    observations = series(FIVE)
    await table.see(*observations[:-1])
    await table.ledger.observe(observations[-1])
    assert await flags_of(table) == ()
    await table.see(observations[0])
    assert [event.cause for event in table.recorded] == ["sub-1"]


@pytest.mark.parametrize(("switches", "count", "enforced"), [
    ({}, 1, True),
    ({"excessive_retries": {"enforced": False}}, 1, False),
    ({"excessive_retries": {"active": False}}, 0, None),
    ({"attack_frequency": {"active": False}}, 1, True),
])  # fmt: skip
async def test_rules_are_switched_at_run_time(switches, count, enforced):
    table = Table()
    await table.see(*series(FIVE))
    await table.ledger.switch(None, switches)
    found = await hits(table, 41)
    assert [each.enforced for each in found] == [enforced] * count
    await table.ledger.switch("bank-1", {"excessive_retries": {"active": False}})
    assert len(await hits(table, 41)) == count, "another tenant's switches"


async def test_a_switched_off_rule_finds_nothing_and_finds_it_when_switched_on():
    table = Table()
    await table.ledger.switch(None, {"excessive_retries": {"active": False}})
    await table.see(*series(FIVE))
    assert table.recorded == []
    await table.ledger.switch(None, {})
    await table.see(seen(6, 41))
    assert table.recorded == [], "a pause that began before the attempt is none of its doing"
    await table.see(seen(5, FIVE[4]))
    assert len(table.recorded) == 1


async def test_a_shadow_flag_is_raised_says_so_and_keeps_its_reasons():
    table = Table(AbusePolicy.model_validate(SHADOW))
    assessment = await table.see(*series(FIVE))
    (flag,) = assessment.flags
    assert flag.enforced is False
    assert flag.event["refusal"] is not None
    assert len(flag.event["evidence"]["linked"]) == 5
    (hit,) = await hits(table, 41)
    assert hit.enforced is False


async def test_what_a_person_confirmed_is_enforced_though_the_rule_is_a_shadow_or_off():
    table = Table(AbusePolicy.model_validate(SHADOW))
    await table.see(*series(FIVE))
    (flag,) = await flags_of(table)
    await table.ledger.record([confirmed(flag, word(100), table.policy.flag_ttl_s)])
    for switches in ({}, {"excessive_retries": {"active": False}}):
        await table.ledger.switch(None, switches)
        (hit,) = await hits(table, 2 * DAY_S)
        assert (hit.enforced, hit.refusal.kind) == (True, RefusalKind.BLOCKED)


async def test_after_an_override_the_past_does_not_count_and_a_new_episode_is_another_flag():
    table = Table()
    await table.see(*series(FIVE))
    (flag,) = await flags_of(table)
    await override(table, flag, 60)
    assert await hits(table, 61) == ()
    assert (await table.see(seen(6, 62))).flags == ()
    for number, at_s in enumerate((63, 64, 65), start=7):
        assert (await table.see(seen(number, at_s))).events == ()
    assessment = await table.see(seen(10, 66))
    (event,) = assessment.events
    assert event.flag_id != flag.flag_id
    assert [each.submission_id for each in _linked(assessment)] == ["sub-6", "sub-7", "sub-8", "sub-9", "sub-10"]
    assert (await hits(table, 67))[0].flag.flag_id == event.flag_id
    states = {each.flag_id: each.state for each in await flags_of(table)}
    assert states == {flag.flag_id: FlagState.OVERRIDDEN, event.flag_id: FlagState.RAISED}


def _linked(assessment):
    (flag,) = assessment.flags
    return [type("L", (), {"submission_id": each["submission"]}) for each in flag.event["evidence"]["linked"]]


@pytest.mark.parametrize("networks", [(), ("tor",)])
async def test_what_comes_late_from_before_a_clearing_flags_nobody(networks):
    table = Table()
    address = subject(SubjectType.ADDRESS, 1)
    await table.see(*series(FIVE[:4], address=1, networks=networks))
    for of in (correlation(guid(1)), address):
        await table.ledger.clear(None, of, *cleared_field("cmd-1", at_ms(60)))
    table.recorded.clear()
    await table.see(seen(5, 50, address=1, networks=networks))
    assert table.recorded == []


async def test_the_observation_of_a_cleared_subject_that_is_redelivered_flags_nobody_anew():
    table = Table()
    observations = series(FIVE)
    await table.see(*observations)
    (flag,) = await flags_of(table)
    await override(table, flag, 60)
    table.recorded.clear()
    assert (await table.see(*observations)).flags == ()
    assert [event.flag_id for event in table.recorded] == [flag.flag_id], "its own, in case it was never published"


async def test_a_shadow_flag_on_an_address_is_no_abuse_of_this_person():
    table = Table()
    assessment = await table.see(seen(1, address=1, networks=("tor",), finding=Finding.LIVE))
    assert [flag.kind for flag in assessment.flags] == ["listed_network"]
    assert assessment.is_abuse_detected is False
    enforced = Table(AbusePolicy.model_validate({"listed_network": {"enforced": True}}))
    assessment = await enforced.see(seen(1, address=1, networks=("tor",), finding=Finding.LIVE))
    assert assessment.is_abuse_detected is True


async def test_other_sessions_of_a_flagged_device_are_named_newest_first():
    table = Table()
    for who in range(1, 6):
        await table.see(seen(who, who, who=who, session_id=f"session-{who}", device=1, address=1))
    assessment = await table.see(seen(6, 9, who=6, session_id="session-6", device=1, address=1))
    assert assessment.other_flagged_sessions == tuple(f"session-{who}" for who in range(5, 0, -1))
    own = await table.see(seen(7, 10, who=6, session_id="session-7", device=1))
    assert "session-6" not in own.other_flagged_sessions


async def test_no_session_is_named_for_an_unflagged_device_or_a_flagged_address():
    table = Table()
    for who in range(1, 5):
        assessment = await table.see(
            seen(who, who, who=who, session_id=f"session-{who}", device=1, address=1, networks=("tor",))
        )
    assert assessment.flags
    assert assessment.other_flagged_sessions == ()


async def test_there_is_an_end_to_the_sessions_named():
    table = Table()
    for who in range(1, MOST_SESSIONS + 20):
        assessment = await table.see(seen(who, who, who=who, session_id=f"session-{who}", device=1))
    assert len(assessment.other_flagged_sessions) == MOST_SESSIONS


async def test_a_risk_is_told_of_an_address_only():
    table = Table()
    assert (await table.see(seen(1))).ip_risk is None
    assert (await table.see(seen(2, device=1))).ip_risk is None
    assert (await table.see(seen(3, address=1))).ip_risk is not None


async def test_a_reminder_names_open_flags_and_finds_nothing():
    table = Table()
    await table.see(*series(FIVE))
    known = await table.ledger.read_history(None, [correlation(guid(1))])
    reminder = table.engine.reminder(known, at_ms(50))
    assert [flag.state for flag in reminder.flags] == [FlagState.RAISED]
    assert (reminder.events, reminder.ip_risk) == ((), None)
    assert table.engine.reminder(known, at_ms(31 * DAY_S)).flags == ()


async def test_flags_are_found_under_a_former_key_after_a_rotation():
    table = Table()
    for who in range(1, 6):
        await table.see(seen(who, who, who=who, device=1))
    (flag,) = await flags_of(table, subject(SubjectType.DEVICE, 1))
    rotated = subject(SubjectType.DEVICE, 2, 1)
    assert await flags_of(table, rotated) == (flag,)
    observation = seen(6, 10, who=6)
    observation = replace(observation, origin=replace(observation.origin, device=rotated))
    assessment = await table.see(observation)
    assert flag.flag_id in {each.flag_id for each in assessment.flags}
    history = await table.ledger.history(None, rotated)
    assert len(history.attempts) == 6


async def test_a_flag_is_one_of_its_day():
    table = Table()
    await table.see(*series([*FIVE, *(DAY_S + HOUR_S + at for at in FIVE)]))
    assert len({event.flag_id for event in table.recorded if b"excessive_retries" in event.document}) == 2


def test_a_subject_is_hashed_or_a_correlation_id():
    assert correlation(guid(1)) == Subject(type=SubjectType.CORRELATION_ID, key=guid(1))


async def test_a_listed_address_that_a_reviewer_accepted_is_not_flagged_every_day():
    table = Table()
    seen_there = [seen(n, n * DAY_S, address=1, networks=("tor",), finding=Finding.LIVE) for n in range(4)]
    await table.see(seen_there[0])
    address = subject(SubjectType.ADDRESS, 1)
    (flag,) = await flags_of(table, address)
    await override(table, flag, 1)
    for observation in seen_there[1:]:
        assessment = await table.see(observation)
        assert assessment.flags == ()
        assert [part.name for part in assessment.ip_risk.parts] == ["listed_network"]
    assert (await table.see(seen(40, 31 * DAY_S, address=1, networks=("tor",)))).flags


async def test_a_decision_shows_a_flag_as_it_is_switched_now():
    table = Table()
    await table.see(*series(FIVE))
    await table.ledger.switch(None, SHADOW)
    known = await table.ledger.read_history(None, [correlation(guid(1))])
    assert [flag.enforced for flag in known.flags] == [True]
    assert [flag.enforced for flag in table.engine.reminder(known, at_ms(50)).flags] == [False]
