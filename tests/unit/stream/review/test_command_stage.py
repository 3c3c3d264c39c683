"""Commands carried out: what each changes, what changes nothing, and what follows for submissions."""

from __future__ import annotations

import uuid
from typing import Any

import orjson
import pytest

from abuse.event_time import milliseconds
from abuse.flags.flags import FlagKind, FlagState, RefusalKind
from abuse.ledger.expiry import record_expiry
from abuse.rules.gate import Gate
from abuse.subjects import correlation
from config.limits.abuse import AbusePolicy
from tests.unit.abuse.builders import DAY_S, HOUR_S, Table, at_ms, every, expire_due, guid, seen, series
from tests.unit.stream.builders import SECRET
from tests.unit.stream.review.command_cases import (
    DECIDED_S,
    FLAG_ID,
    FLAG_TTL_S,
    ME,
    OTHER,
    Reviewer,
    about,
    flag,
    flagged,
    header,
    moved,
    sent,
)
from tests.unit.stream.review.golden_cases import SHADOW, confirmed_flag, expired_flag, overridden_flag

RETRIES, FREQUENCY, SEVERITY = FlagKind.EXCESSIVE_RETRIES, FlagKind.ATTACK_FREQUENCY, FlagKind.ATTACK_SEVERITY


async def reviewed(reviewer: Reviewer, command: str, **changes: Any) -> dict[str, Any]:
    return await reviewer.answer(sent(command, **changes))


def code(answer: dict[str, Any]) -> str | None:
    assert (answer["outcome"] == "refused") == (answer["error"] is not None)
    return None if answer["error"] is None else answer["error"]["code"]


# What each command changes


async def test_confirmed_flag_is_enforced_and_lives_anew():
    reviewer = Reviewer()
    flag_id = await flagged(reviewer.ledger, at_s=0)
    flags, answer = await reviewer.obey(sent("flag.confirm", flag_id=flag_id))
    held = await flag(reviewer.ledger)
    assert (held.state, held.enforced) == (FlagState.CONFIRMED, True)
    assert held.expires_at_ms == at_ms(DECIDED_S + FLAG_TTL_S)
    for at_s, refusal in ((DECIDED_S, "blocked"), (DECIDED_S + FLAG_TTL_S - 1, "blocked"), (DECIDED_S - 181, None)):
        found = held.refusal_at(at_ms(at_s))
        assert (found and found.kind) == refusal
    assert (flags.topic, flags.key, flags.value) == ("flags", ME.key.encode(), held.documents[-1])
    assert header(flags, "ce_id") == f"{flag_id}-confirmed-c-1"
    assert milliseconds(orjson.loads(answer.value)["at"]) == at_ms(DECIDED_S)


async def test_overridden_flag_refuses_nobody_and_its_subject_begins_anew():
    reviewer = Reviewer()
    answer = await reviewed(reviewer, "flag.override", flag_id=await flagged(reviewer.ledger))
    held = await flag(reviewer.ledger)
    assert (held.state, held.enforced, held.refusals) == (FlagState.OVERRIDDEN, False, ())
    assert not held.open_at(at_ms(DECIDED_S))
    assert (answer["changed"]["cleared"], answer["changed"]["correlation_id"]) == (about(ME), ME.key)
    assert (await reviewer.ledger.history(None, ME)).cleared_at_ms == at_ms(DECIDED_S)


ONE, ALL = [FREQUENCY], [RETRIES, FREQUENCY, SEVERITY]


@pytest.mark.parametrize(
    ("command", "by", "decided", "state"),
    [
        ("flag.confirm", "flag_id", ONE, FlagState.CONFIRMED),
        ("flag.confirm", "subject", ALL, FlagState.CONFIRMED),
        ("flag.override", "flag_id", ONE, FlagState.OVERRIDDEN),
        ("flag.override", "subject", ALL, FlagState.OVERRIDDEN),
        ("correlation.reset", "correlation_id", ALL, FlagState.OVERRIDDEN),
    ],
)
async def test_which_flags_are_decided_on(command, by, decided, state):
    """Expired flags, other subjects' and other tenants' stay; an override tells what is still open."""
    reviewer = Reviewer()
    mine = {kind: await flagged(reviewer.ledger, kind) for kind in ALL}
    expired = await flagged(reviewer.ledger, FREQUENCY, at_s=-3 * DAY_S, ttl_s=60)
    others = {(OTHER, None): await flagged(reviewer.ledger, subject=OTHER)}
    others[ME, "acme"] = await flagged(reviewer.ledger, tenant="acme")
    target = {"flag_id": mine[FREQUENCY], "subject": about(ME), "correlation_id": ME.key}[by]
    *flags, answer = await reviewer.obey(sent(command, **{by: target}))
    changed = orjson.loads(answer.value)["changed"]
    wanted = {mine[kind] for kind in decided}
    assert {orjson.loads(each.value)["flag_id"] for each in flags} == {f["flag_id"] for f in changed["flags"]} == wanted
    states = {each.flag_id: each.state for each in (await reviewer.ledger.read_history(None, [ME])).flags}
    assert states == {expired: "raised", **dict.fromkeys(mine.values(), "raised"), **dict.fromkeys(wanted, state)}
    assert set(changed.get("still_open", ())) == (set(mine.values()) - wanted if command == "flag.override" else set())
    for (who, tenant), flag_id in others.items():
        held = await flag(reviewer.ledger, who, tenant)
        assert (held.flag_id, held.state) == (flag_id, FlagState.RAISED)


async def test_reset_lifts_a_confirmed_flag():
    reviewer = Reviewer()
    await confirmed_flag(reviewer)
    await reviewed(reviewer, "correlation.reset", correlation_id=ME.key)
    assert (await flag(reviewer.ledger)).state is FlagState.OVERRIDDEN


async def test_new_correlation_id_follows_from_command_and_tenant():
    async def issued(**changes: Any) -> str:
        changed = (await reviewed(Reviewer(), "correlation.reset", correlation_id=guid(1), **changes))["changed"]
        assert changed["correlation_id"] == guid(1)
        return str(changed["new_correlation_id"])

    first = await issued()
    assert str(uuid.UUID(first)) == first != guid(1)
    assert await issued(at_s=5000, offset=99) == first
    assert len({first, await issued(command_id="c-2"), await issued(tenant="acme")}) == 3


async def test_switches_add_up_for_one_tenant():
    reviewer = Reviewer()
    await reviewed(reviewer, "settings.update", rules=SHADOW)
    both = {"device_velocity": {"active": True}, "attack_severity": {"enforced": True}}
    answer = await reviewed(reviewer, "settings.update", command_id="c-2", rules=both)
    after = {"attack_severity": {"enforced": True}, "device_velocity": {"active": True, "enforced": False}}
    assert answer["changed"] == {"before": SHADOW, "after": after}
    assert await reviewer.ledger.switches(None) == after
    assert await reviewer.ledger.switches("acme") == {}


# What changes nothing

STATES = {"raised": lambda reviewer: flagged(reviewer.ledger), "confirmed": confirmed_flag}
STATES |= {"overridden": overridden_flag, "expired": expired_flag}


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
        reviewer = Reviewer()
        await STATES[state](reviewer)
        flag_id, before = (await flag(reviewer.ledger)).flag_id, reviewer.table
        outputs = await reviewer.obey(sent(command, **{by: flag_id if by == "flag_id" else about(ME)}))
        answer = orjson.loads(outputs[-1].value)
        assert code(answer) == expected
        assert (reviewer.table == before) == (expected is not None)
        assert len(outputs) == (2 if expected is None else 1)
        assert bool(answer["changed"]) == (expected is None)


@pytest.mark.parametrize(("early_s", "answered"), [(0, "FLAG_EXPIRED"), (0.001, None)])
async def test_flag_that_ends_this_very_moment_has_expired(early_s, answered):
    reviewer = Reviewer()
    flag_id = await flagged(reviewer.ledger, ttl_s=int(DECIDED_S))
    assert code(await reviewed(reviewer, "flag.confirm", flag_id=flag_id, at_s=DECIDED_S - early_s)) == answered


async def test_only_flags_not_yet_confirmed_are_confirmed():
    reviewer = Reviewer()
    await confirmed_flag(reviewer)
    second = await flagged(reviewer.ledger, SEVERITY)
    answer = await reviewed(reviewer, "flag.confirm", subject=about(ME))
    assert [each["flag_id"] for each in answer["changed"]["flags"]] == [second]


@pytest.mark.parametrize("tenant", ["acme", None])
@pytest.mark.parametrize("command", ["flag.confirm", "flag.override"])
async def test_flag_of_another_tenant_is_as_unknown_as_none(command, tenant):
    reviewer = Reviewer()
    theirs = await flagged(reviewer.ledger, tenant=None if tenant else "acme")
    answers = [
        await reviewed(reviewer, command, command_id=name, flag_id=flag_id, tenant=tenant)
        for name, flag_id in (("c-1", theirs), ("c-2", FLAG_ID))
    ]
    assert [code(answer) for answer in answers] == ["UNKNOWN_FLAG"] * 2
    assert answers[0]["error"] == answers[1]["error"]
    assert code(await reviewed(reviewer, command, command_id="c-3", subject=about(ME), tenant=tenant)) == "NO_OPEN_FLAG"


SAID = {"command": "flag.confirm", "actor": "ann", "reason": "known_fraud", "note": "by phone", "tenant": "acme"}
HOSTILE = {"actor": f"{SECRET} Ann", "reason": SECRET, "note": f"{SECRET}\n", "tenant": f" {SECRET}"}


@pytest.mark.parametrize(
    "malformed",
    [
        *({}, {"command": "flag.erase"}, {"actor": "a b"}, {"reason": 7}, {"note": ["x"]}, {"tenant": ""}),
        *(HOSTILE, {"command": SECRET, **HOSTILE}),
    ],
)
async def test_trail_keeps_what_is_legal_of_an_invalid_command(malformed):
    """Each is invalid without a target, whatever else is; what is not legal is nowhere in the answer."""
    reviewer, given = Reviewer(), sent(**{**SAID, **malformed}, **{SECRET: 1})
    (answer,) = await reviewer.obey(given)
    entry = orjson.loads(answer.value)
    assert code(entry) == ("UNKNOWN_COMMAND" if "command" in malformed else "INVALID_COMMAND")
    assert {name: entry[name] for name in SAID} == SAID | dict.fromkeys(malformed)
    assert header(answer, "ce_tenant") == entry["tenant"]
    assert SECRET not in answer.value.decode()
    assert (await reviewer.obey(moved(given)))[-1].value == answer.value


# Decisions and rules


async def retrying() -> tuple[Table, Reviewer]:
    """Five failures: a pause."""
    table = Table()
    await table.see(*series(every(10, 5)))
    return table, Reviewer(ledger=table.ledger)


async def gate_says(table: Table, at_s: float, who: int = 1) -> RefusalKind | None:
    """The refusal of the submission's first hit, if the hit is enforced."""
    answer = await Gate(table.ledger, table.engine).ask(None, [correlation(guid(who))], "sub-new", at_ms(at_s))
    hits = answer.hits
    return hits[0].refusal.kind if hits and hits[0].enforced else None


@pytest.mark.parametrize("confirmed", [False, True])
async def test_after_an_override_attempts_before_no_longer_count(confirmed):
    """Neither those seen before nor those that came in before and late; five new ones are another flag, that day."""
    table, reviewer = await retrying()
    if confirmed:
        await reviewed(reviewer, "flag.confirm", command_id="c-0", subject=about(ME), at_s=55)
    assert await gate_says(table, at_s=60) == (RefusalKind.BLOCKED if confirmed else RefusalKind.PAUSED)
    before = {event.flag_id for event in table.recorded}
    await reviewed(reviewer, "flag.override", subject=about(ME), at_s=100)
    assert await gate_says(table, at_s=101) is None
    for attempts in ([(30 + n, 90 + n) for n in range(5)], [(10 + n, 101 + n) for n in range(4)]):
        assert (await table.see(*(seen(*each) for each in attempts))).flags == ()
        assert await gate_says(table, at_s=110) is None
    await table.see(seen(20, 120))
    assert len({event.flag_id for event in table.recorded if event.subject == ME} - before) == 1
    assert await gate_says(table, at_s=121) == RefusalKind.PAUSED


@pytest.mark.parametrize("switches", [{"active": False}, {"enforced": False}, {"active": False, "enforced": False}])
async def test_confirmed_flag_refuses_whatever_the_switches(switches):
    table, reviewer = await retrying()
    await reviewed(reviewer, "settings.update", rules={"excessive_retries": switches}, at_s=90)
    assert await gate_says(table, at_s=95) is None
    await reviewed(reviewer, "flag.confirm", command_id="c-2", subject=about(ME), at_s=100)
    for later_s in (100, 101, 2 * HOUR_S, 29 * DAY_S):
        assert await gate_says(table, at_s=later_s) == RefusalKind.BLOCKED
    assert await gate_says(table, at_s=100 + FLAG_TTL_S) is None
    assert await gate_says(table, at_s=101, who=2) is None


async def test_confirmed_flag_of_a_rule_in_shadow_refuses():
    table = Table(AbusePolicy())
    await flagged(table.ledger, FREQUENCY)
    assert await gate_says(table, at_s=5) is None
    await reviewed(Reviewer(ledger=table.ledger), "flag.confirm", subject=about(ME), at_s=10)
    assert await gate_says(table, at_s=11) == RefusalKind.BLOCKED


async def test_flag_confirmed_just_before_its_expiry_is_noticed_stands():
    """The command was there in time and is carried out late."""
    table = Table()
    flag_id = await flagged(table.ledger, ttl_s=60)
    (event,) = await expire_due(table.ledger, at_ms(61))
    await Reviewer(ledger=table.ledger).obey(sent("flag.confirm", flag_id=flag_id, at_s=59))
    await record_expiry(table.ledger, event)
    assert (await flag(table.ledger)).state is FlagState.CONFIRMED
    assert await gate_says(table, at_s=62) == RefusalKind.BLOCKED
