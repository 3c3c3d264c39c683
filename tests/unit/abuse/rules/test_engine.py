"""The abuse engine over a ledger in memory: hits and assessments, once and again, under switches and reviews."""

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


async def failed(policy=None, **changes):
    """A table after five failures, and the assessment of the last."""
    table = Table(policy and AbusePolicy.model_validate(policy))
    return table, await table.see(*series(FIVE, **changes))


async def override(table, flag, at_s, command_id="cmd-1"):
    await table.ledger.record([overridden(flag, word(at_s, command_id))])
    await table.ledger.clear(None, flag.subject, *cleared_field(command_id, at_ms(at_s)))


async def test_hits_while_the_refusal_runs():
    """A refusal also covers submissions under way when it begins, but no other subject's, no other tenant's and not the
    submission that raised the flag: its worker may have died before the decision was stored."""
    assert await hits(Table(), 0) == ()
    table, _ = await failed()
    for at_s in (-140, 39, 40, 40.001, 1839.999):
        (hit,) = await hits(table, at_s)
        assert (hit.enforced, hit.refusal.kind) == (True, RefusalKind.PAUSED)
        assert hit.flag.kind is FlagKind.EXCESSIVE_RETRIES
    for at_s in (-140.001, 1840, 5000):
        assert await hits(table, at_s) == ()
    assert await hits(table, 41, correlation(guid(2))) == ()
    assert await hits(table, 41, tenant="bank-1") == ()
    assert await hits(table, 40, submission_id="sub-5") == ()
    assert len(await hits(table, 40, submission_id="sub-4")) == 1


async def test_short_windows_refuse_all_day():
    """A flag is raised once a day, so its refusal must last as long."""
    limits = {"address_velocity": {"submissions": 5, "enforced": True}}
    table, address = Table(AbusePolicy.model_validate(limits)), subject(SubjectType.ADDRESS, 1)
    await table.see(*series(every(1, 5), address=1, finding=Finding.LIVE))
    until_midnight = [5.0, HOUR_S + 60.0, 17 * HOUR_S]
    assert [len(await hits(table, at_s, address)) for at_s in until_midnight] == [1, 1, 1]
    assert await hits(table, 18 * HOUR_S, address) == ()


async def test_order_of_hits():
    """Enforced before shadow, blocks before pauses, then the longest."""
    limits = {
        "attack_frequency": {"attacks": 5, "window_s": 100},
        "device_velocity": {"ids": 2, "submissions": 5, "window_s": 200},
        "address_velocity": {"submissions": 5, "enforced": True, "window_s": 300},
    }
    table, _ = await failed(limits, device=1, address=1)
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


async def test_redelivery_repeats_own_events():
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


async def test_later_attempts_repeat_no_event():
    table = Table()
    await table.see(*series(every(1, 8), finding=Finding.SPOOF))
    by_cause = {event.name: event.cause for event in table.recorded if b"excessive" in event.document}
    assert by_cause == {"level 1": "sub-5"}
    by_cause = {event.name: event.cause for event in table.recorded if b"attack_frequency" in event.document}
    assert by_cause == {"level 1": "sub-8"}


async def test_crash_before_publishing():
    table = Table()
    observations = series(FIVE)
    await table.see(*observations[:-1])
    lost = table.engine.assess(observations[-1], await table.ledger.observe(observations[-1])).events
    await table.ledger.record(lost)
    await table.see(seen(6, 41))
    await table.see(observations[-1])
    assert [event.document for event in table.recorded] == [event.document for event in lost]


async def test_crash_before_storing():
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
async def test_rules_switched_while_running(switches, count, enforced):
    table, _ = await failed()
    await table.ledger.switch(None, switches)
    found = await hits(table, 41)
    assert [each.enforced for each in found] == [enforced] * count
    await table.ledger.switch("bank-1", {"excessive_retries": {"active": False}})
    assert len(await hits(table, 41)) == count, "another tenant's switches"


async def test_rule_switched_off_and_on():
    table = Table()
    await table.ledger.switch(None, {"excessive_retries": {"active": False}})
    await table.see(*series(FIVE))
    assert table.recorded == []
    await table.ledger.switch(None, {})
    await table.see(seen(6, 41))
    assert table.recorded == [], "a pause that began before the attempt is none of its doing"
    await table.see(seen(5, FIVE[4]))
    assert len(table.recorded) == 1


async def test_shadow_flag_keeps_its_reasons():
    table, assessment = await failed(SHADOW)
    (flag,) = assessment.flags
    assert flag.enforced is False
    assert flag.event["refusal"] is not None
    assert len(flag.event["evidence"]["linked"]) == 5
    (hit,) = await hits(table, 41)
    assert hit.enforced is False


async def test_confirmed_flag_is_enforced():
    """Though its rule is a shadow, or off."""
    table, _ = await failed(SHADOW)
    (flag,) = await flags_of(table)
    await table.ledger.record([confirmed(flag, word(100), table.policy.flag_ttl_s)])
    for switches in ({}, {"excessive_retries": {"active": False}}):
        await table.ledger.switch(None, switches)
        (hit,) = await hits(table, 2 * DAY_S)
        assert (hit.enforced, hit.refusal.kind) == (True, RefusalKind.BLOCKED)


async def test_override_begins_anew():
    table, _ = await failed()
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
async def test_cleared_attempts_that_come_late(networks):
    table = Table()
    address = subject(SubjectType.ADDRESS, 1)
    await table.see(*series(FIVE[:4], address=1, networks=networks))
    for of in (correlation(guid(1)), address):
        await table.ledger.clear(None, of, *cleared_field("cmd-1", at_ms(60)))
    table.recorded.clear()
    await table.see(seen(5, 50, address=1, networks=networks))
    assert table.recorded == []


async def test_redelivery_after_a_clearing():
    table = Table()
    observations = series(FIVE)
    await table.see(*observations)
    (flag,) = await flags_of(table)
    await override(table, flag, 60)
    table.recorded.clear()
    assert (await table.see(*observations)).flags == ()
    assert [event.flag_id for event in table.recorded] == [flag.flag_id], "its own, in case it was never published"


async def test_shadow_flag_on_an_address():
    table = Table()
    assessment = await table.see(seen(1, address=1, networks=("tor",), finding=Finding.LIVE))
    assert [flag.kind for flag in assessment.flags] == ["listed_network"]
    assert assessment.is_abuse_detected is False
    enforced = Table(AbusePolicy.model_validate({"listed_network": {"enforced": True}}))
    assessment = await enforced.see(seen(1, address=1, networks=("tor",), finding=Finding.LIVE))
    assert assessment.is_abuse_detected is True


async def test_sessions_of_a_flagged_device():
    table = Table()
    for who in range(1, 6):
        await table.see(seen(who, who, who=who, session_id=f"session-{who}", device=1, address=1))
    assessment = await table.see(seen(6, 9, who=6, session_id="session-6", device=1, address=1))
    assert assessment.other_flagged_sessions == tuple(f"session-{who}" for who in range(5, 0, -1))
    own = await table.see(seen(7, 10, who=6, session_id="session-7", device=1))
    assert "session-6" not in own.other_flagged_sessions


async def test_sessions_named_are_limited():
    table = Table()
    for who in range(1, MOST_SESSIONS + 20):
        assessment = await table.see(seen(who, who, who=who, session_id=f"session-{who}", device=1))
    assert len(assessment.other_flagged_sessions) == MOST_SESSIONS


async def test_unflagged_devices_name_no_session():
    """Nor do flagged addresses."""
    table, given = Table(), {"device": 1, "address": 1, "networks": ("tor",)}
    for who in range(1, 5):
        assessment = await table.see(seen(who, who, who=who, session_id=f"session-{who}", **given))
    assert assessment.flags
    assert assessment.other_flagged_sessions == ()


async def test_only_addresses_have_risk():
    risks = [(await Table().see(seen(1, **origin))).ip_risk for origin in ({}, {"device": 1}, {"address": 1})]
    assert [risk is not None for risk in risks] == [False, False, True]


async def test_reminder_names_open_flags():
    table, _ = await failed()
    known = await table.ledger.read_history(None, [correlation(guid(1))])
    reminder = table.engine.reminder(known, at_ms(50))
    assert [flag.state for flag in reminder.flags] == [FlagState.RAISED]
    assert (reminder.events, reminder.ip_risk) == ((), None)
    assert table.engine.reminder(known, at_ms(31 * DAY_S)).flags == ()


async def test_flags_under_former_keys():
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


async def test_each_day_its_flag():
    table = Table()
    await table.see(*series([*FIVE, *(DAY_S + HOUR_S + at for at in FIVE)]))
    assert len({event.flag_id for event in table.recorded if b"excessive_retries" in event.document}) == 2


def test_correlation_subject():
    assert correlation(guid(1)) == Subject(type=SubjectType.CORRELATION_ID, key=guid(1))


async def test_accepted_address_stays_unflagged():
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


async def test_flags_show_present_switches():
    table, _ = await failed()
    await table.ledger.switch(None, SHADOW)
    known = await table.ledger.read_history(None, [correlation(guid(1))])
    assert [flag.enforced for flag in known.flags] == [True]
    assert [flag.enforced for flag in table.engine.reminder(known, at_ms(50)).flags] == [False]
