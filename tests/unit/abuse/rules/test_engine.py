"""The abuse engine over a ledger in memory: hits and assessments, once and again, under switches and reviews."""

from __future__ import annotations

import pytest

from abuse.flags.flag_events import cleared_field, confirmed, overridden
from abuse.flags.flags import FlagKind, FlagState, RefusalKind
from abuse.observation import Finding
from abuse.rules.engine import MOST_SESSIONS
from abuse.rules.gate import Gate
from abuse.subjects import SubjectType, correlation
from config.limits.abuse import AbusePolicy
from tests.unit.abuse.builders import DAY_S, HOUR_S, Table, at_ms, every, guid, review, seen, series, subject

FIVE = every(10, 5)
SHADOW = {"excessive_retries": {"enforced": False}}
OFF = {"excessive_retries": {"active": False}}
ME, DEVICE, ADDRESS = correlation(guid(1)), subject(SubjectType.DEVICE, 1), subject(SubjectType.ADDRESS, 1)


def table_of(policy=None):
    return Table(policy and AbusePolicy.model_validate(policy))


async def hits(table, at_s, *subjects, tenant=None, submission_id="sub-new"):
    gate = Gate(table.ledger, table.engine)
    return (await gate.ask(tenant, subjects or [ME], submission_id, at_ms(at_s))).hits


async def flags_of(table, of=ME):
    return (await table.ledger.read_history(None, [of])).flags


async def failed(policy=None, **changes):
    """A table after five failures, and the assessment of the last."""
    table = table_of(policy)
    return table, await table.see(*series(FIVE, **changes))


async def override(table, flag, at_s):
    await table.ledger.record([overridden(flag, review(at_s))])
    await table.ledger.clear(None, flag.subject, *cleared_field("c-1", at_ms(at_s)))


async def test_hits_while_the_refusal_runs():
    """A refusal also covers submissions under way when it begins, but no other subject's, no other tenant's and not the
    submission that raised the flag: its worker may have died before the decision was stored."""
    assert await hits(Table(), 0) == ()
    table, _ = await failed()
    for at_s in (-140, 39, 40, 40.001, 1839.999):
        (hit,) = await hits(table, at_s)
        assert (hit.enforced, hit.refusal.kind, hit.flag.kind) == (True, "paused", "excessive_retries")
    for at_s in (-140.001, 1840, 5000):
        assert await hits(table, at_s) == ()
    assert await hits(table, 41, correlation(guid(2))) == ()
    assert await hits(table, 41, tenant="bank-1") == ()
    assert [len(await hits(table, 40, submission_id=name)) for name in ("sub-5", "sub-4")] == [0, 1]


async def test_short_windows_refuse_all_day():
    """A flag is raised once a day, so its refusal must last as long."""
    table = table_of({"address_velocity": {"submissions": 5, "enforced": True}})
    await table.see(*series(every(1, 5), address=1, finding=Finding.LIVE))
    times_s = (5.0, HOUR_S + 60.0, 17 * HOUR_S, 18 * HOUR_S)
    assert [len(await hits(table, at_s, ADDRESS)) for at_s in times_s] == [1, 1, 1, 0], "until midnight"


async def test_order_of_hits():
    """Enforced before shadow, blocks before pauses, then the longest."""
    limits = {
        "attack_frequency": {"attacks": 5, "window_s": 100},
        "device_velocity": {"ids": 2, "submissions": 5, "window_s": 200},
        "address_velocity": {"submissions": 5, "enforced": True, "window_s": 300},
    }
    table, _ = await failed(limits, device=1, address=1)
    assert [(each.flag.kind, each.enforced) for each in await hits(table, 41, ME, DEVICE, ADDRESS)] == [
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
    assert [flag.state for flag in after.flags] == [FlagState.RAISED]
    assert after.is_abuse_detected
    assert [event.name for event in after.events] == ["level 1"]
    assert await flags_of(table) == after.flags


async def test_redelivery_repeats_own_events():
    table, observations = Table(), series(FIVE)
    first = await table.see(*observations)
    events = list(table.recorded)
    assert len(events) == 1
    for each in observations[:-1]:
        again = await table.see(each)
        assert (again.events, [flag.flag_id for flag in again.flags]) == ((), [flag.flag_id for flag in first.flags])
    assert table.recorded == events
    await table.see(observations[-1])
    assert table.recorded == events * 2, "the same bytes"


async def test_later_attempts_repeat_no_event():
    table = Table()
    await table.see(*series(every(1, 8)))
    causes = [(event.name, event.cause, FlagKind.ATTACK_FREQUENCY in str(event.document)) for event in table.recorded]
    assert causes == [("level 1", "sub-5", False), ("level 1", "sub-8", True)]


@pytest.mark.parametrize("stored", [True, False])
async def test_crash_before_publishing_or_storing(stored):
    table, observations = Table(), series(FIVE)
    await table.see(*observations[:-1])
    lost = table.engine.assess(observations[-1], await table.ledger.observe(observations[-1])).events
    if stored:
        await table.ledger.record(lost)
        await table.see(seen(6, 41), observations[-1])
        assert [event.document for event in table.recorded] == [event.document for event in lost]
    else:
        await table.see(observations[0])
        assert [event.cause for event in table.recorded] == ["sub-1"]


@pytest.mark.parametrize(
    ("switches", "enforced"),
    [({}, [True]), (SHADOW, [False]), (OFF, []), ({"attack_frequency": {"active": False}}, [True])],
)
async def test_rules_switched_while_running(switches, enforced):
    """Open flags show the tenant's present switches."""
    table, _ = await failed()
    await table.ledger.switch(None, switches)
    await table.ledger.switch("bank-1", OFF)
    assert [each.enforced for each in await hits(table, 41)] == enforced
    known = await table.ledger.read_history(None, [ME])
    assert [flag.enforced for flag in known.flags] == [True]
    assert [flag.enforced for flag in table.engine.reminder(known, at_ms(50)).flags] == [enforced == [True]]


async def test_rule_switched_off_and_on():
    table = Table()
    await table.ledger.switch(None, OFF)
    await table.see(*series(FIVE))
    await table.ledger.switch(None, {})
    await table.see(seen(6, 41))
    assert table.recorded == [], "a pause that began before the attempt is none of its doing"
    await table.see(seen(5, FIVE[4]))
    assert len(table.recorded) == 1


async def test_shadow_flag_keeps_its_reasons():
    table, assessment = await failed(SHADOW)
    (flag,) = assessment.flags
    assert (flag.enforced, len(flag.event["evidence"]["linked"])) == (False, 5)
    assert flag.event["refusal"] is not None
    assert [hit.enforced for hit in await hits(table, 41)] == [False]


async def test_confirmed_flag_is_enforced():
    """Though its rule is a shadow, or off."""
    table, _ = await failed(SHADOW)
    (flag,) = await flags_of(table)
    await table.ledger.record([confirmed(flag, review(100), table.policy.flag_ttl_s)])
    for switches in ({}, OFF):
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
    (event,), (own,) = assessment.events, assessment.flags
    assert event.flag_id != flag.flag_id
    linked = [each["submission"] for each in own.event["evidence"]["linked"]]
    assert linked == ["sub-6", "sub-7", "sub-8", "sub-9", "sub-10"]
    assert (await hits(table, 67))[0].flag.flag_id == event.flag_id
    states = {each.flag_id: each.state for each in await flags_of(table)}
    assert states == {flag.flag_id: FlagState.OVERRIDDEN, event.flag_id: FlagState.RAISED}


@pytest.mark.parametrize("networks", [(), ("tor",)])
async def test_cleared_attempts_that_come_late(networks):
    table = Table()
    await table.see(*series(FIVE[:4], address=1, networks=networks))
    for of in (ME, ADDRESS):
        await table.ledger.clear(None, of, *cleared_field("cmd-1", at_ms(60)))
    table.recorded.clear()
    await table.see(seen(5, 50, address=1, networks=networks))
    assert table.recorded == []


async def test_redelivery_after_a_clearing():
    table, _ = await failed()
    (flag,) = await flags_of(table)
    await override(table, flag, 60)
    table.recorded.clear()
    assert (await table.see(*series(FIVE))).flags == ()
    assert [event.flag_id for event in table.recorded] == [flag.flag_id], "its own, in case it was never published"


@pytest.mark.parametrize("enforced", [False, True])
async def test_shadow_flag_is_no_detected_abuse(enforced):
    table = table_of({"listed_network": {"enforced": enforced}})
    assessment = await table.see(seen(1, address=1, networks=("tor",), finding=Finding.LIVE))
    assert [flag.kind for flag in assessment.flags] == ["listed_network"]
    assert assessment.is_abuse_detected is enforced


async def sessions_of(people, **origin):
    """The assessment of the last of so many people, each in another session."""
    table = Table()
    observations = [seen(who, who, who=who, session_id=f"session-{who}", **origin) for who in range(1, people + 1)]
    return table, await table.see(*observations)


async def test_sessions_of_a_flagged_device():
    table, assessment = await sessions_of(6, device=1, address=1)
    assert assessment.other_flagged_sessions == tuple(f"session-{who}" for who in range(5, 0, -1))
    own = await table.see(seen(7, 10, who=6, session_id="session-7", device=1))
    assert "session-6" not in own.other_flagged_sessions
    _, assessment = await sessions_of(MOST_SESSIONS + 19, device=1)
    assert len(assessment.other_flagged_sessions) == MOST_SESSIONS


async def test_unflagged_devices_name_no_session():
    """Nor do flagged addresses."""
    _, assessment = await sessions_of(4, device=1, address=1, networks=("tor",))
    assert assessment.flags
    assert assessment.other_flagged_sessions == ()


async def test_only_addresses_have_risk():
    risks = [(await Table().see(seen(1, **origin))).ip_risk for origin in ({}, {"device": 1}, {"address": 1})]
    assert [risk is not None for risk in risks] == [False, False, True]


async def test_reminder_names_open_flags():
    table, _ = await failed()
    known = await table.ledger.read_history(None, [ME])
    reminder = table.engine.reminder(known, at_ms(50))
    assert [flag.state for flag in reminder.flags] == [FlagState.RAISED]
    assert (reminder.events, reminder.ip_risk) == ((), None)
    assert table.engine.reminder(known, at_ms(31 * DAY_S)).flags == ()


async def test_each_day_its_flag():
    table = Table()
    await table.see(*series([*FIVE, *(DAY_S + HOUR_S + at for at in FIVE)]))
    assert len({event.flag_id for event in table.recorded if b"excessive_retries" in event.document}) == 2


async def test_accepted_address_stays_unflagged():
    table = Table()
    seen_there = [seen(n, n * DAY_S, address=1, networks=("tor",), finding=Finding.LIVE) for n in range(4)]
    await table.see(seen_there[0])
    (flag,) = await flags_of(table, ADDRESS)
    await override(table, flag, 1)
    for observation in seen_there[1:]:
        assessment = await table.see(observation)
        assert assessment.flags == ()
        assert [part.name for part in assessment.ip_risk.parts] == ["listed_network"]
    assert (await table.see(seen(40, 31 * DAY_S, address=1, networks=("tor",)))).flags
