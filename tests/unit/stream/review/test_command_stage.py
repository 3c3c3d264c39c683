"""Commands carried out: what each changes, whom it answers, and that a crash or a repeat anywhere changes nothing."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest

from abuse.event_time import milliseconds
from abuse.flags.flags import FlagKind, FlagState, RefusalKind
from abuse.ledger.expiry import ended, settle
from abuse.ledger.ledger import Ledger
from abuse.review.audit import check
from abuse.rules.gate import Gate
from abuse.subjects import SubjectType, correlation
from config.abuse import AbusePolicy
from config.errors import Unavailable
from stream.events.messages import Output, Record
from tests.unit.abuse.builders import DAY_S, HOUR_S, Table, at_ms, every, guid, seen, series, subject
from tests.unit.stream.builders import SECRET
from tests.unit.stream.review.command_cases import (
    DECIDED_S,
    FLAG_ID,
    FLAG_TTL_S,
    ME,
    OTHER,
    Desk,
    about,
    flag,
    flagged,
    header,
    moved,
    published,
    record,
    sent,
)
from tests.unit.stream.runtime import virtual_time

RETRIES, FREQUENCY, SEVERITY = FlagKind.EXCESSIVE_RETRIES, FlagKind.ATTACK_FREQUENCY, FlagKind.ATTACK_SEVERITY
ADDRESS = subject(SubjectType.ADDRESS, 1)
SHADOW = {"device_velocity": {"enforced": False}}


async def reviewed(desk: Desk, command: str, **changes: Any) -> dict[str, Any]:
    return await desk.answer(sent(command, **changes))


def code(answer: dict[str, Any]) -> str | None:
    assert (answer["outcome"] == "refused") == (answer["error"] is not None)
    return None if answer["error"] is None else answer["error"]["code"]


# What each command changes


async def test_a_confirmed_flag_is_enforced_and_lives_anew():
    desk = Desk()
    flag_id = await flagged(desk.ledger, at_s=0)
    flags, answer = await desk.obey(sent("flag.confirm", flag_id=flag_id, note="print, twice"))
    held = await flag(desk.ledger)
    assert (held.state, held.enforced) == (FlagState.CONFIRMED, True)
    assert held.expires_at_ms == at_ms(DECIDED_S + FLAG_TTL_S)
    assert held.refusal_at(at_ms(DECIDED_S)).kind is RefusalKind.BLOCKED
    assert held.refusal_at(at_ms(DECIDED_S + FLAG_TTL_S - 1)).kind is RefusalKind.BLOCKED
    assert held.refusal_at(at_ms(DECIDED_S - 181)) is None
    event, entry = orjson.loads(flags.value), orjson.loads(answer.value)
    assert (flags.topic, flags.key, flags.value) == ("flags", ME.key.encode(), held.documents[-1])
    assert header(flags, "ce_id") == f"{flag_id}-confirmed-c-1"
    assert event["review"] == {
        "actor": "ann",
        "reason": "false_positive",
        "note": "print, twice",
        "command_id": "c-1",
        "at": event["timestamp"],
    }
    assert milliseconds(event["timestamp"]) == at_ms(DECIDED_S)
    change = {"flag_id": flag_id, "kind": "attack_frequency", "subject": about(ME), "from": "raised", "to": "confirmed"}
    assert (entry["outcome"], entry["changed"]) == ("applied", {"flags": [change]})


async def test_an_answer_says_who_decided_what_and_when():
    answer = (await Desk().obey(sent("correlation.reset", correlation_id=guid(1), tenant="acme", note="by phone")))[-1]
    entry = orjson.loads(answer.value)
    said = {name: entry[name] for name in ("command", "command_id", "actor", "reason", "note", "tenant", "error")}
    assert said == {
        "command": "correlation.reset",
        "command_id": "c-1",
        "actor": "ann",
        "reason": "false_positive",
        "note": "by phone",
        "tenant": "acme",
        "error": None,
    }
    assert milliseconds(entry["at"]) == at_ms(DECIDED_S)
    assert (answer.topic, answer.key) == ("audit", b"key")
    assert header(answer, "ce_id") == entry["sha256"]
    assert (header(answer, "ce_subject"), header(answer, "ce_tenant")) == ("c-1", "acme")


async def test_an_overridden_flag_refuses_nobody_and_its_subject_begins_anew():
    desk = Desk()
    flag_id = await flagged(desk.ledger)
    answer = await reviewed(desk, "flag.override", flag_id=flag_id)
    held = await flag(desk.ledger)
    assert (held.state, held.enforced, held.refusals) == (FlagState.OVERRIDDEN, False, ())
    assert not held.open_at(at_ms(DECIDED_S))
    assert answer["changed"]["cleared"] == about(ME)
    assert answer["changed"]["correlation_id"] == ME.key
    assert (await desk.ledger.history(None, ME)).cleared_at_ms == at_ms(DECIDED_S)


async def test_an_override_by_flag_tells_what_is_still_open():
    desk = Desk()
    first = await flagged(desk.ledger, FREQUENCY)
    others = {await flagged(desk.ledger, kind) for kind in (RETRIES, SEVERITY)}
    expired = await flagged(desk.ledger, FREQUENCY, at_s=-3 * DAY_S, ttl_s=60)
    answer = await reviewed(desk, "flag.override", flag_id=first)
    assert set(answer["changed"]["still_open"]) == others
    assert [each["flag_id"] for each in answer["changed"]["flags"]] == [first]
    states = {each.flag_id: each.state for each in (await desk.ledger.read_history(None, [ME])).flags}
    assert states == {first: "overridden", expired: "raised", **dict.fromkeys(others, "raised")}


@pytest.mark.parametrize("command", ["flag.confirm", "flag.override"])
async def test_a_decision_on_a_subject_covers_all_its_open_flags(command):
    desk = Desk()
    mine = {await flagged(desk.ledger, kind) for kind in (RETRIES, FREQUENCY, SEVERITY)}
    await flagged(desk.ledger, RETRIES, at_s=-3 * DAY_S, ttl_s=60)
    elsewhere = await flagged(desk.ledger, RETRIES, subject=OTHER)
    tenants = await flagged(desk.ledger, RETRIES, tenant="acme")
    *flags, answer = await desk.obey(sent(command, subject=about(ME)))
    assert {orjson.loads(each.value)["flag_id"] for each in flags} == mine
    assert {each["flag_id"] for each in orjson.loads(answer.value)["changed"]["flags"]} == mine
    for other, tenant, flag_id in ((OTHER, None, elsewhere), (ME, "acme", tenants)):
        held = await flag(desk.ledger, other, tenant)
        assert (held.flag_id, held.state) == (flag_id, FlagState.RAISED)


async def test_an_address_is_decided_on_by_its_hashed_key_and_issues_no_correlation_id():
    desk = Desk()
    await flagged(desk.ledger, FlagKind.ADDRESS_VELOCITY, subject=ADDRESS)
    flags, answer = await desk.obey(sent("flag.override", subject=about(ADDRESS)))
    assert flags.key == ADDRESS.key.encode()
    assert "new_correlation_id" not in orjson.loads(answer.value)["changed"]


async def test_a_new_correlation_id_follows_from_the_command_and_tenant():
    async def issued(desk: Desk, **changes: Any) -> str:
        changed = (await reviewed(desk, "correlation.reset", correlation_id=guid(1), **changes))["changed"]
        assert changed["correlation_id"] == guid(1)
        return str(changed["new_correlation_id"])

    first = await issued(Desk())
    assert str(uuid.UUID(first)) == first != guid(1)
    assert await issued(Desk(), at_s=5000, offset=99) == first
    desk = Desk()
    assert len({first, await issued(desk, command_id="c-2"), await issued(Desk(), tenant="acme")}) == 3


async def test_a_reset_lifts_every_flag_even_a_confirmed_one_and_needs_none():
    desk = Desk()
    for kind in (RETRIES, FREQUENCY):
        await flagged(desk.ledger, kind)
    await reviewed(desk, "flag.confirm", subject=about(ME))
    flags = (await desk.obey(sent("correlation.reset", command_id="c-2", at_s=2000, correlation_id=ME.key)))[:-1]
    assert len(flags) == 2
    assert {each.state for each in (await desk.ledger.read_history(None, [ME])).flags} == {FlagState.OVERRIDDEN}
    answer = await reviewed(desk, "correlation.reset", command_id="c-3", correlation_id=guid(77))
    assert (answer["outcome"], answer["changed"]["flags"]) == ("applied", [])


async def test_switches_add_up_and_are_a_tenants_own():
    desk = Desk()
    await reviewed(desk, "settings.update", rules=SHADOW)
    answer = await reviewed(
        desk,
        "settings.update",
        command_id="c-2",
        rules={"device_velocity": {"active": True}, "attack_severity": {"enforced": True}},
    )
    after = {"attack_severity": {"enforced": True}, "device_velocity": {"active": True, "enforced": False}}
    assert answer["changed"] == {"before": SHADOW, "after": after}
    assert await desk.ledger.switches(None) == after
    assert await desk.ledger.switches("acme") == {}


# What changes nothing


async def prepared(state: str) -> tuple[Desk, str]:
    desk = Desk()
    flag_id = await flagged(desk.ledger, ttl_s=60 if state == "expired" else FLAG_TTL_S)
    if state in ("confirmed", "overridden"):
        word = "confirm" if state == "confirmed" else "override"
        await reviewed(desk, f"flag.{word}", command_id="before", flag_id=flag_id, at_s=500)
    return desk, flag_id


@pytest.mark.parametrize(
    ("command", "state", "by_flag", "by_subject"),
    [
        ("flag.confirm", "raised", None, None),
        ("flag.confirm", "confirmed", "ALREADY_CONFIRMED", "ALREADY_CONFIRMED"),
        ("flag.confirm", "overridden", "ALREADY_OVERRIDDEN", "NO_OPEN_FLAG"),
        ("flag.confirm", "expired", "FLAG_EXPIRED", "NO_OPEN_FLAG"),
        ("flag.override", "raised", None, None),
        ("flag.override", "confirmed", None, None),
        ("flag.override", "overridden", "ALREADY_OVERRIDDEN", "NO_OPEN_FLAG"),
        ("flag.override", "expired", "FLAG_EXPIRED", "NO_OPEN_FLAG"),
    ],
)
async def test_what_can_be_decided_on_a_flag(command, state, by_flag, by_subject):
    for by, expected in (("flag_id", by_flag), ("subject", by_subject)):
        desk, flag_id = await prepared(state)
        before = desk.table
        outputs = await desk.obey(sent(command, **{by: flag_id if by == "flag_id" else about(ME)}))
        answer = orjson.loads(outputs[-1].value)
        assert code(answer) == expected
        assert (desk.table == before) == (expected is not None)
        assert len(outputs) == (2 if expected is None else 1)
        assert bool(answer["changed"]) == (expected is None)


async def test_a_flag_that_ends_this_very_moment_has_expired():
    desk = Desk()
    flag_id = await flagged(desk.ledger, ttl_s=int(DECIDED_S))
    assert code(await reviewed(desk, "flag.confirm", flag_id=flag_id)) == "FLAG_EXPIRED"
    assert code(await reviewed(desk, "flag.confirm", command_id="c-2", flag_id=flag_id, at_s=DECIDED_S - 0.001)) is None


async def test_on_a_subject_with_a_confirmed_flag_only_the_others_are_confirmed():
    desk = Desk()
    first = await flagged(desk.ledger, FREQUENCY)
    await reviewed(desk, "flag.confirm", flag_id=first, at_s=500)
    second = await flagged(desk.ledger, SEVERITY)
    answer = await reviewed(desk, "flag.confirm", command_id="c-2", subject=about(ME))
    assert [each["flag_id"] for each in answer["changed"]["flags"]] == [second]


@pytest.mark.parametrize("tenant", ["acme", None])
@pytest.mark.parametrize("command", ["flag.confirm", "flag.override"])
async def test_a_flag_of_another_tenant_is_as_unknown_as_none(command, tenant):
    desk = Desk()
    theirs = await flagged(desk.ledger, tenant=None if tenant else "acme")
    answers = [
        await reviewed(desk, command, command_id=name, flag_id=flag_id, tenant=tenant)
        for name, flag_id in (("c-1", theirs), ("c-2", FLAG_ID))
    ]
    assert [code(answer) for answer in answers] == ["UNKNOWN_FLAG"] * 2
    assert answers[0]["error"] == answers[1]["error"]
    assert code(await reviewed(desk, command, command_id="c-3", subject=about(ME), tenant=tenant)) == "NO_OPEN_FLAG"


async def test_switching_to_what_is_switched_changes_nothing():
    desk = Desk()
    await reviewed(desk, "settings.update", rules=SHADOW)
    assert code(await reviewed(desk, "settings.update", command_id="c-2", rules=SHADOW)) == "NOTHING_TO_CHANGE"


@pytest.mark.parametrize(
    ("given", "expected"),
    [({"command": "flag.erase"}, "UNKNOWN_COMMAND"), ({"command": "flag.confirm", SECRET: 1}, "INVALID_COMMAND")],
)
async def test_a_command_nobody_understands_is_answered_too(given, expected):
    desk = Desk()
    said = {"actor": f"{SECRET} Ann", "reason": SECRET, "note": f"{SECRET}\n", "tenant": f" {SECRET}"}
    (answer,) = await desk.obey(sent(**given, **said))
    entry = orjson.loads(answer.value)
    assert code(entry) == expected
    assert SECRET not in answer.value.decode()
    assert [entry[name] for name in said] == [None] * 4
    assert (await desk.obey(moved(sent(**given, **said))))[-1].value == answer.value


SAID = {"command": "flag.confirm", "actor": "ann", "reason": "known_fraud", "note": "by phone", "tenant": "acme"}


@pytest.mark.parametrize(
    "malformed", [{}, {"command": "flag.erase"}, {"actor": "a b"}, {"reason": 7}, {"note": ["x"]}, {"tenant": ""}]
)
async def test_the_trail_keeps_whatever_of_an_invalid_command_is_legal(malformed):
    """It is invalid without a target, whatever else is."""
    (answer,) = await Desk().obey(sent(**{**SAID, **malformed}))
    entry = orjson.loads(answer.value)
    assert entry["outcome"] == "refused"
    assert {name: entry[name] for name in SAID} == SAID | dict.fromkeys(malformed)
    assert header(answer, "ce_tenant") == entry["tenant"]


async def test_two_tenants_may_use_one_command_id():
    desk = Desk()
    tenants = ("acme", "other", None)
    for tenant in tenants:
        await flagged(desk.ledger, tenant=tenant)
    answers = [await reviewed(desk, "flag.override", subject=about(ME), tenant=tenant) for tenant in tenants]
    assert [(answer["tenant"], answer["outcome"]) for answer in answers] == [(each, "applied") for each in tenants]
    assert {(await flag(desk.ledger, ME, tenant)).state for tenant in tenants} == {FlagState.OVERRIDDEN}


async def test_an_invalid_command_takes_its_id_from_its_own_tenant_alone():
    desk = Desk()
    await flagged(desk.ledger)
    assert code(await reviewed(desk, "flag.override", tenant="acme")) == "INVALID_COMMAND"
    assert code(await reviewed(desk, "flag.override", tenant="acme", subject=about(ME))) == "INVALID_COMMAND"
    assert code(await reviewed(desk, "flag.override", subject=about(ME))) is None


async def test_what_is_no_command_is_set_aside_with_its_bytes():
    desk = Desk()
    (letter,) = await desk.obey(record(SECRET.encode()))
    assert (letter.topic, letter.value, header(letter, "reason")) == ("dead", SECRET.encode(), "BAD_COMMAND")
    assert desk.audit.entries == []


# Decisions and rules


async def retries(table: Table) -> None:
    """Five failures: a pause."""
    await table.see(*series(every(10, 5)))
    assert (await gate_says(table, at_s=60)) == RefusalKind.PAUSED


async def gate_says(table: Table, at_s: float, who: int = 1) -> RefusalKind | None:
    """What stands in the way of a submission, if it is enforced."""
    answer = await Gate(table.ledger, table.engine).ask(None, [correlation(guid(who))], "sub-new", at_ms(at_s))
    objections = answer.objections
    return objections[0].refusal.kind if objections and objections[0].enforced else None


async def test_after_an_override_attempts_before_no_longer_count():
    table = Table()
    desk = Desk(ledger=table.ledger)
    await retries(table)
    before = {event.flag_id for event in table.recorded}
    await reviewed(desk, "flag.override", subject=about(ME), at_s=100)
    assert await gate_says(table, at_s=101) is None
    assessment = await table.see(*(seen(10 + n, 101 + n) for n in range(4)))
    assert assessment.flags == ()
    assert await gate_says(table, at_s=110) is None
    await table.see(seen(20, 120))
    again = {event.flag_id for event in table.recorded if event.subject == ME} - before
    assert len(again) == 1, "five new failures are another flag, on the same day"
    assert await gate_says(table, at_s=121) == RefusalKind.PAUSED


async def test_an_attempt_that_came_in_before_the_override_and_late_does_not_count_either():
    table = Table()
    desk = Desk(ledger=table.ledger)
    await retries(table)
    await reviewed(desk, "flag.override", subject=about(ME), at_s=100)
    assessment = await table.see(*(seen(30 + n, 90 + n) for n in range(5)))
    assert assessment.flags == ()
    assert await gate_says(table, at_s=110) is None


@pytest.mark.parametrize("switches", [{"active": False}, {"enforced": False}, {"active": False, "enforced": False}])
async def test_a_confirmed_flag_refuses_whatever_the_switches(switches):
    table = Table()
    desk = Desk(ledger=table.ledger)
    await retries(table)
    await reviewed(desk, "settings.update", rules={"excessive_retries": switches}, at_s=90)
    assert await gate_says(table, at_s=95) is None
    await reviewed(desk, "flag.confirm", command_id="c-2", subject=about(ME), at_s=100)
    for later_s in (100, 101, 2 * HOUR_S, 29 * DAY_S):
        assert await gate_says(table, at_s=later_s) == RefusalKind.BLOCKED
    assert await gate_says(table, at_s=100 + FLAG_TTL_S) is None
    assert await gate_says(table, at_s=101, who=2) is None


async def test_a_confirmed_flag_of_a_rule_in_shadow_refuses():
    table = Table(AbusePolicy())
    desk = Desk(ledger=table.ledger)
    await flagged(table.ledger, FREQUENCY)
    assert await gate_says(table, at_s=5) is None
    await reviewed(desk, "flag.confirm", subject=about(ME), at_s=10)
    assert await gate_says(table, at_s=11) == RefusalKind.BLOCKED


async def test_overriding_a_confirmed_flag_lifts_it():
    table = Table()
    desk = Desk(ledger=table.ledger)
    await retries(table)
    await reviewed(desk, "flag.confirm", subject=about(ME), at_s=100)
    assert await gate_says(table, at_s=150) == RefusalKind.BLOCKED
    answer = await reviewed(desk, "flag.override", command_id="c-2", subject=about(ME), at_s=200)
    assert [(each["from"], each["to"]) for each in answer["changed"]["flags"]] == [("confirmed", "overridden")]
    assert await gate_says(table, at_s=201) is None


async def test_confirmed_just_before_it_was_seen_to_expire_a_flag_stands():
    """The command was there in time and is carried out late."""
    table = Table()
    await flagged(table.ledger, ttl_s=60)
    held = await flag(table.ledger)
    desk, given = Desk(ledger=table.ledger), sent("flag.confirm", flag_id=held.flag_id, at_s=59)
    (event,) = await ended(table.ledger, at_ms(61))
    await desk.obey(given)
    await settle(table.ledger, event)
    assert (await flag(table.ledger)).state is FlagState.CONFIRMED
    assert await gate_says(table, at_s=62) == RefusalKind.BLOCKED


# Crashes


class Crash(Exception):
    """The process ends here."""


class Crashing:
    """A store whose n-th call, counted over all that share `tally`, ends the process: before or after its effect."""

    def __init__(self, inner: Any, tally: Tally) -> None:
        self._inner, self._tally = inner, tally

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name.startswith("_") or not callable(found):
            return found

        async def call(*args: Any) -> Any:
            place = self._tally.next(f"{type(self._inner).__name__}.{name}")
            if place == "before":
                raise self._tally.fault
            answer = await found(*args)
            if place == "after":
                raise self._tally.fault
            return answer

        return call


@dataclass
class Tally:
    at: int
    when: str
    fault: Exception
    calls: int = 0
    names: tuple[str, ...] = ()

    def next(self, name: str) -> str | None:
        self.calls += 1
        self.names += (name,)
        return self.when if self.calls == self.at else None


def crashing(desk: Desk, tally: Tally) -> Desk:
    return Desk(Crashing(desk.ledger, tally), Crashing(desk.log, tally), Crashing(desk.audit, tally))


Prepare = Callable[[Ledger], Awaitable[Any]]


async def nothing(ledger: Ledger) -> None:
    pass


async def three_flags(ledger: Ledger) -> None:
    for kind in (RETRIES, FREQUENCY, SEVERITY):
        await flagged(ledger, kind, level=2)


async def switched(ledger: Ledger) -> None:
    await ledger.switch(None, {"attack_severity": {"active": False}})


CASES: dict[str, tuple[Prepare, Record]] = {
    "confirm": (three_flags, sent("flag.confirm", subject=about(ME))),
    "override": (three_flags, sent("flag.override", subject=about(ME))),
    "reset": (three_flags, sent("correlation.reset", correlation_id=ME.key)),
    "settings": (switched, sent("settings.update", rules=SHADOW)),
    "refused": (nothing, sent("flag.confirm", flag_id=FLAG_ID)),
    "invalid": (nothing, sent("flag.confirm")),
    "unknown": (nothing, sent("flag.erase")),
}


async def sound(case: str) -> tuple[Desk, list[Output], int]:
    """A desk on which nothing crashed, what it put out, and how many calls it made."""
    prepare, given = CASES[case]
    desk = Desk()
    await prepare(desk.ledger)
    tally = Tally(0, "", Crash())
    return desk, await crashing(desk, tally).obey(given), tally.calls


async def injected(case: str, at: int, when: str, fault: Exception) -> tuple[Desk, list[Output] | None]:
    """The same with a fault at one call; what it put out if it got so far."""
    prepare, given = CASES[case]
    desk = Desk()
    await prepare(desk.ledger)
    try:
        return desk, await crashing(desk, Tally(at, when, fault)).obey(given)
    except Crash:
        return desk, None


def same(desk: Desk, outputs: list[Output], other: Desk, others: list[Output]) -> None:
    assert outputs == others
    assert desk.table == other.table
    assert desk.audit.entries == other.audit.entries
    assert desk.log.kept == other.log.kept
    checked = check(map(orjson.loads, desk.audit.entries))
    assert (checked.entries, checked.problems) == (1, ())


@pytest.mark.parametrize("case", CASES)
async def test_a_crash_at_any_call_changes_nothing_of_what_comes_out(case):
    want, outputs, calls = await sound(case)
    assert calls >= 5
    for at in range(1, calls + 1):
        for when in ("before", "after"):
            desk, died = await injected(case, at, when, Crash())
            assert died is None
            same(desk, await desk.obey(CASES[case][1]), want, outputs)


@pytest.mark.parametrize("case", CASES)
async def test_a_crash_after_everything_publishes_the_same_again(case):
    want, outputs, _ = await sound(case)
    desk, first = await injected(case, 0, "", Crash())
    assert first == outputs
    same(desk, await desk.obey(CASES[case][1]), want, outputs)


@pytest.mark.parametrize("case", ["confirm", "override", "settings"])
async def test_a_second_crash_on_the_way_changes_nothing_either(case):
    want, outputs, calls = await sound(case)
    for first in range(1, calls + 1):
        for second in range(1, calls + 1):
            desk, _ = await injected(case, first, "after", Crash())
            tally = Tally(second, "after", Crash())
            with suppress(Crash):
                await crashing(desk, tally).obey(CASES[case][1])
            same(desk, await desk.obey(CASES[case][1]), want, outputs)


@pytest.mark.parametrize("case", CASES)
def test_a_call_without_an_answer_is_made_again(case):
    """Whether or not it took effect: the command is answered once, and as if nothing had been."""

    async def faulted(at: int, when: str) -> tuple[Desk, list[Output]]:
        desk, outputs = await injected(case, at, when, Unavailable("redis", "TimeoutError"))
        assert outputs is not None
        return desk, outputs

    want, outputs, calls = virtual_time.run(sound(case))
    for at in range(1, calls + 1):
        for when in ("before", "after"):
            same(*virtual_time.run(faulted(at, when)), want, outputs)


# Repeats


@pytest.mark.parametrize("case", CASES)
async def test_the_same_command_in_another_record_gets_the_same_answer_and_changes_nothing(case):
    desk, outputs, _ = await sound(case)
    table, given = desk.table, CASES[case][1]
    for again in (moved(given), replace(given, partition=1), replace(given, appended_at_ms=given.appended_at_ms + 1)):
        (answer,) = await desk.obey(again)
        assert (answer.value, answer.headers) == (outputs[-1].value, outputs[-1].headers)
    assert desk.table == table
    assert len(desk.audit.entries) == 1


async def test_a_repeat_does_not_undo_what_was_decided_in_between():
    desk = Desk()
    flag_id = await flagged(desk.ledger)
    confirm, switch = sent("flag.confirm", flag_id=flag_id), sent("settings.update", command_id="s-1", rules=SHADOW)
    first = [(await desk.obey(given))[-1] for given in (confirm, switch)]
    await reviewed(desk, "flag.override", command_id="c-2", offset=8, at_s=2000, flag_id=flag_id)
    on = {"device_velocity": {"enforced": True}}
    await reviewed(desk, "settings.update", command_id="s-2", offset=9, rules=on)
    table = desk.table
    for given, answer in zip((confirm, switch), first, strict=True):
        assert (await desk.obey(moved(given, 20)))[-1].value == answer.value
        assert (await desk.obey(given))[-1].value == answer.value, "the record itself, redelivered"
    assert desk.table == table
    assert (await flag(desk.ledger)).state is FlagState.OVERRIDDEN
    assert await desk.ledger.switches(None) == on


async def test_switches_planned_at_the_same_time_and_carried_out_late_do_not_undo_each_other():
    """Sent to two partitions: one crashes on its way, the other is carried out, the first comes again."""
    for at in range(1, 10):
        desk = Desk()
        first = sent("settings.update", command_id="s-1", rules={"device_velocity": {"enforced": True}})
        with suppress(Crash):
            await crashing(desk, Tally(at, "after", Crash())).obey(first)
        second = sent("settings.update", command_id="s-2", offset=8, rules={"attack_severity": {"active": False}})
        await desk.obey(second)
        await desk.obey(first)
        both = {"attack_severity": {"active": False}, "device_velocity": {"enforced": True}}
        assert await desk.ledger.switches(None) == both


async def test_the_same_id_with_other_content_gets_the_first_answer():
    desk = Desk()
    await flagged(desk.ledger)
    first = await desk.obey(sent("correlation.reset", correlation_id=OTHER.key))
    table = desk.table
    (answer,) = await desk.obey(sent("flag.confirm", subject=about(ME), offset=8))
    assert answer.value == first[-1].value
    assert desk.table == table


async def test_two_workers_on_the_same_command_publish_its_flags_once():
    """Sent twice to two partitions: whoever kept the plan first, each event has one record that publishes it."""
    desk = Desk()
    await three_flags(desk.ledger)
    given = sent("flag.confirm", subject=about(ME))
    first = Desk(desk.ledger, Crashing(desk.log, tally := Tally(2, "after", Crash())), desk.audit)
    with pytest.raises(Crash):
        await first.obey(given)
    assert tally.names[-1] == "InMemoryCommandLog.keep_first"
    other = await desk.obey(moved(given))
    assert published(other, "flags") == []
    assert all(each.state is FlagState.CONFIRMED for each in (await desk.ledger.read_history(None, [ME])).flags)
    mine = await desk.obey(given)
    assert len(published(mine, "flags")) == 3
    assert mine[-1].value == other[-1].value


async def test_commands_are_chained_in_the_order_they_were_carried_out():
    desk = Desk()
    for number in range(20):
        await reviewed(desk, "correlation.reset", command_id=f"c-{number}", correlation_id=guid(number), offset=number)
    entries = [orjson.loads(entry) for entry in desk.audit.entries]
    assert [entry["command_id"] for entry in entries] == [f"c-{number}" for number in range(20)]
    assert check(entries).problems == ()
