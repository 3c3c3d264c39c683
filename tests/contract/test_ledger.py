"""The contract of ledgers: in memory, on the embedded Redis, a real one and a real cluster.

Everything written names itself, so that the table is the same whatever comes twice, late or in another order; the first
writer of a flag event wins; everything expires.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abuse.flags.flag_events import cleared_field, field_of, raised
from abuse.flags.flags import NEVER_CLEARED, Evidence, FlagKind, RuleFinding, Severity
from abuse.ledger.flag_index import ALL_TENANTS, Entry, Position, Selection
from abuse.ledger.journal import KEPT, attempt_of, line_of, part_of
from abuse.ledger.ledger import GRACE_MS, InMemoryLedger, Ledger, Locator
from abuse.ledger.redis_ledger import RedisLedger
from abuse.ledger.redis_ledger_keys import SWITCHES_TTL_S
from abuse.observation import Finding, Observation
from abuse.redis_port import ForeignValue
from abuse.rules.engine import AbuseEngine
from abuse.subjects import Subject, SubjectType, correlation
from config.limits.abuse import AbusePolicy
from tests.contract.redis_servers import PROPERTY, Held, PortKind
from tests.unit.abuse.builders import DAY_MS, DAY_S, POLICY_NAME, START_MS, at_ms, every, guid, seen, series, subject

FLAG_TTL_S = 30 * DAY_S
ME = correlation(guid(1))
DEVICE = subject(SubjectType.DEVICE, 1)
#: Of every tenant, open and over.
EVERYTHING = Selection(over=True)


PORT = PortKind(in_memory=InMemoryLedger, on_redis=lambda calls, prefix: RedisLedger(calls, prefix, FLAG_TTL_S))


@pytest.fixture
def ledger(held: Held) -> Ledger:
    return held.store


def flag_events(level: int = 1, *, cause: str = "sub-5", about: Subject = ME, at_s: float = 0, **changes: Any) -> list:
    severities = changes.pop("severities", (Severity.MEDIUM,) * level)
    tenant, at, evidence = changes.pop("tenant", None), at_ms(at_s), Evidence(used=5, limit=5, window_s=180)
    fields = {"kind": FlagKind.EXCESSIVE_RETRIES, "subject": about, "severities": severities, **changes}
    finding = RuleFinding(first_ms=at, at_ms=at, evidence=evidence, **fields)
    named = {"tenant": tenant, "cause": cause, "policy": POLICY_NAME, "ttl_s": FLAG_TTL_S}
    return raised(finding, cleared_at_ms=NEVER_CLEARED, enforced=True, **named)


async def flags_of(ledger: Ledger, about: Subject = ME, tenant: str | None = None) -> list:
    return list((await ledger.read_history(tenant, [about])).flags)


async def indexed(ledger: Ledger, selection: Selection = EVERYTHING, most: int = 1000) -> list[Entry]:
    """All entries of the flag index, read `most` at a time."""
    found: list[Entry] = []
    after: Position | None = None
    while True:
        listing = await ledger.listed(selection, after, most)
        for entry, position in listing.positions(after):
            found.append(entry)
            after = position
        if not listing.more:
            return found
        assert listing.entries, "a reader gets on"


async def ids_of(ledger: Ledger, selection: Selection = EVERYTHING) -> list[str]:
    """Flags in the index, newest first."""
    return [entry.flag_id for entry in await indexed(ledger, selection)]


async def contents(on_redis: Held) -> dict[str, Any]:
    """All keys under the prefix and what they hold."""
    client, found = on_redis.redis.client, {}
    for key in await on_redis.redis.keys():
        read = {b"zset": lambda key: client.zrange(key, 0, -1, withscores=True), b"hash": client.hgetall}
        found[key.removeprefix(on_redis.redis.prefix)] = await read.get(await client.type(key), client.get)(key)
    return found


# Journals


async def test_unknown_subjects_are_empty(ledger):
    known = await ledger.read_history("bank-1", [ME, DEVICE])
    assert [history.subject for history in known.histories] == [ME, DEVICE]
    assert all(history.attempts == () and history.fields == {} for history in known.histories)
    assert (known.flags, known.switches) == ((), {})


async def test_observation_reaches_all_subjects(held):
    """And no other tenant's or other subjects'; `read_history` returns no attempts."""
    changes = {"device": 1, "address": 1, "prefix": 1, "session_id": "s", "species": "flat_texture", "severity": 0.4}
    observation = seen(1, tenant="bank-1", **changes)
    known = await held.store.observe(observation)
    assert tuple(history.subject for history in known.histories) == observation.subjects
    for history in known.histories:
        assert history.attempts == (attempt_of(observation),)
        assert (await held.other_worker.history("bank-1", history.subject)).attempts == history.attempts
    assert {each.attempts for each in (await held.store.read_history("bank-1", observation.subjects)).histories} == {()}
    for tenant, about in [(None, ME), ("bank-2", ME), ("bank-1", correlation(guid(2))), (None, DEVICE)]:
        assert (await held.store.history(tenant, about)).attempts == ()


async def test_attempts_are_in_order(ledger):
    for number, at_s in enumerate([50, 10, 30, 10, 0], start=1):
        known = await ledger.observe(seen(number, at_s, address=1))
    for history in known.histories:
        assert [each.submission_id for each in history.attempts] == ["sub-5", "sub-2", "sub-4", "sub-3", "sub-1"]


async def test_rules_reach_so_far_back(ledger):
    await ledger.observe(seen(1, 0, address=1))
    known = await ledger.observe(seen(2, DAY_S, address=1))
    counts = {history.subject.type: len(history.attempts) for history in known.histories}
    assert counts == {SubjectType.CORRELATION_ID: 2, SubjectType.ADDRESS: 1}
    known = await ledger.observe(seen(3, DAY_S - 0.001, address=1))
    assert len(known.histories[1].attempts) == 3


@pytest.mark.parametrize("kind", [SubjectType.CORRELATION_ID, SubjectType.DEVICE])
async def test_journal_keeps_the_newest(ledger, kind):
    kept = KEPT[kind]
    observations = series(every(1, kept + 30), device=1)
    await ledger.record_all(list(reversed(observations)))
    about = ME if kind is SubjectType.CORRELATION_ID else DEVICE
    attempts = (await ledger.history(None, about)).attempts
    assert [each.submission_id for each in attempts] == [each.submission_id for each in observations[30:]]
    await ledger.observe(observations[0])
    assert (await ledger.history(None, about)).attempts == attempts


@pytest.mark.parametrize("last", [[], [seen(400, 400, finding=Finding.MISMATCH)]])
async def test_unanalysed_attempts_hide_no_mismatch(ledger, last):
    """Of attempts that could not be analysed the oldest are kept, of mismatches the newest: neither hides the other."""
    kept, verdict = KEPT[SubjectType.CORRELATION_ID], seen(1, 0)
    unanalysed = [seen(number, number, finding=Finding.UNANALYSED) for number in range(2, 302)]
    await ledger.record_all([verdict, *unanalysed, *last])
    expected = tuple(attempt_of(each) for each in (verdict, *unanalysed[:kept], *last))
    assert (await ledger.history(None, ME)).attempts == expected


async def test_newest_mismatches_are_kept(ledger):
    others = [seen(1, 0), seen(2, 1, finding=Finding.UNANALYSED)]
    mismatches = [seen(number, number, finding=Finding.MISMATCH) for number in range(10, 310)]
    await ledger.record_all([*others, *mismatches[:-1]])
    (history,) = (await ledger.observe(mismatches[-1])).histories
    newest = mismatches[-KEPT[SubjectType.CORRELATION_ID] :]
    assert history.attempts == tuple(attempt_of(each) for each in (*others, *newest))
    assert (await ledger.history(None, ME)).attempts == history.attempts


async def test_record_all_writes_like_observe(held):
    """A journal that is split reads as one."""
    observations = series(every(7, 100), device=1, address=1, prefix=1)
    one, other = held.fresh(), held.fresh()
    for each in observations:
        await one.store.observe(each)
    await other.store.record_all([*observations, observations[3]])
    await other.store.record_all([])
    for about in observations[0].subjects:
        history = await one.store.history(None, about)
        assert history == await other.store.history(None, about)
        assert len(history.attempts) == 100


async def clear_at(ledger: Ledger, *times_s: int, about: Subject = ME, tenant: str | None = None) -> None:
    for at_s in times_s:
        await ledger.clear(tenant, about, *cleared_field(f"cmd-{at_s}", at_ms(at_s)))


async def test_cleared_attempts_do_not_count(ledger):
    await ledger.record_all(series(every(1, 5)))
    await clear_at(ledger, 2)
    (history,) = (await ledger.observe(seen(6, 5))).histories
    assert [each.submission_id for each in history.attempts] == ["sub-4", "sub-5", "sub-6"]
    assert history.cleared_at_ms == at_ms(2)
    assert (await ledger.history(None, ME)).attempts == history.attempts


ORDERS = [*permutations((1, 2, 3)), (1, 2, 3, 1, 2, 3), (3, 2, 1, 1, 2, 3), (3, 3, 3)]


@pytest.mark.parametrize("times_s", ORDERS, ids=str)
async def test_latest_clearing_counts(held, times_s):
    """In any order, and in place of earlier clearings only: flags, other subjects and other tenants stay."""
    await held.store.record(flag_events())
    flag_fields = (await held.store.history(None, ME)).fields
    await clear_at(held.store, 1, about=DEVICE)
    await clear_at(held.store, 1, tenant="bank-1")
    await clear_at(held.store, *times_s)
    assert (await held.store.history(None, ME)).cleared_at_ms == at_ms(3)
    await clear_at(held.other_worker, 4)
    history = await held.store.history(None, ME)
    assert history.fields == {**flag_fields, **dict([cleared_field("cmd-4", at_ms(4))])}
    for tenant, about in ((None, DEVICE), ("bank-1", ME)):
        assert (await held.store.history(tenant, about)).cleared_at_ms == at_ms(1)


async def test_former_keys_are_only_read(held):
    before, after = subject(SubjectType.DEVICE, 1), subject(SubjectType.DEVICE, 2, 1)
    await held.store.observe(seen(1, 0, device=1))
    await held.store.record(flag_events(about=before, kind=FlagKind.DEVICE_VELOCITY))
    observation = seen(2, 1)
    known = await held.store.observe(replace(observation, origin=replace(observation.origin, device=after)))
    assert [each.submission_id for each in known.histories[1].attempts] == ["sub-1", "sub-2"]
    assert [flag.subject.key for flag in known.flags] == [before.key]
    assert await flags_of(held.store, after) == await flags_of(held.store, before)
    (old,) = (await held.store.history(None, before)).attempts
    assert old.submission_id == "sub-1"


async def test_newest_key_counts(ledger):
    before, after = subject(SubjectType.DEVICE, 1), subject(SubjectType.DEVICE, 2, 1)
    await ledger.clear(None, before, "cleared cmd-1", str(at_ms(1)))
    await ledger.clear(None, Subject(type=after.type, key=after.key), "cleared cmd-1", str(at_ms(5)))
    assert (await ledger.history(None, after)).cleared_at_ms == at_ms(5)


# Any order, any repetition


def model(observations: Sequence[Observation]) -> dict[tuple[tuple[str, str, str], int], set[str]]:
    """The journals as they must be: of all attempts there ever were, the newest in each part, but the oldest of those
    that were not analysed and of mismatches under anything else than a correlation id."""
    parts: dict[Any, set[tuple[int, str]]] = {}
    for each in observations:
        for about in each.subjects:
            apart = each.finding is Finding.MISMATCH and about.type is not SubjectType.CORRELATION_ID
            oldest = apart or each.finding is Finding.UNANALYSED
            key = ((each.tenant or "", about.type, about.key), part_of(about.type, each), oldest)
            parts.setdefault(key, set()).add((each.at_ms, line_of(attempt_of(each))))
    journals = {}
    for (owner, part, oldest), entries in parts.items():
        kept = sorted(entries)[: KEPT[owner[1]]] if oldest else sorted(entries)[-KEPT[owner[1]] :]
        journals[owner, part] = {line for _, line in kept}
    return journals


some = st.builds(
    lambda number, at_s, who, finding, tenant, origin, session: seen(
        number, at_s, who=who, finding=finding, tenant=tenant, session_id=session, **origin
    ),
    st.integers(1, 12),
    st.integers(0, 2 * DAY_S),
    st.integers(1, 3),
    st.sampled_from(Finding),
    st.sampled_from([None, "bank-1"]),
    st.fixed_dictionaries(
        {},
        optional={name: st.integers(1, 2) for name in ("device", "address", "prefix")} | {"as_expected": st.booleans()},
    ),
    st.sampled_from([None, "s-1"]),
)
observations_of_all_kinds = st.lists(some, min_size=1, max_size=14)
#: Small enough that the cap matters.
FEW = dict.fromkeys(KEPT, 3)


def muddled(observations, chance: random.Random):
    """Each at least once, some again, in any order."""
    again = [*observations, *chance.choices(observations, k=len(observations) // 2)]
    chance.shuffle(again)
    return again


def journals_in(found: dict[str, Any]) -> dict[str, set[str]]:
    return {
        name.removeprefix("abuse:journal:"): {line.decode() for line, _ in members}
        for name, members in found.items()
        if name.startswith("abuse:journal:")
    }


@settings(PROPERTY, max_examples=60)
@given(observations_of_all_kinds, st.randoms(use_true_random=False), st.booleans())
async def test_any_order_in_memory(observations, chance, capped):
    with patch.dict(KEPT, FEW if capped else {}):
        for sequence in (observations, muddled(observations, chance)):
            ledger = InMemoryLedger()
            for each in sequence:
                await ledger.observe(each)
            assert ledger.journals == model(observations)


@settings(PROPERTY, max_examples=5)
@given(given_observations=observations_of_all_kinds, chance=st.randoms(use_true_random=False), capped=st.booleans())
async def test_any_order_on_redis(on_redis, given_observations, chance, capped):
    in_order, in_disorder = on_redis.fresh(), on_redis.fresh()
    with patch.dict(KEPT, FEW if capped else {}):
        for each in given_observations:
            await in_order.store.observe(each)
        await asyncio.gather(*(in_disorder.store.observe(each) for each in muddled(given_observations, chance)))
        found = await contents(in_order)
        assert await contents(in_disorder) == found
        expected = {
            f"{{{tenant}|{kind}|{key}|{shard}}}": lines
            for ((tenant, kind, key), shard), lines in model(given_observations).items()
        }
        assert journals_in(found) == expected
    await every_key_expires(in_order)


async def every_key_expires(on_redis: Held) -> None:
    keys = await on_redis.redis.keys()
    assert keys
    assert [key for key in keys if await on_redis.redis.client.pttl(key) <= 0] == []


LOW = AbusePolicy.model_validate(
    {
        "excessive_retries": {"failures": 2, "attempts": 3, "pauses": 2, "failure_window_s": DAY_S, "pause_s": 600},
        "attack_frequency": {"attacks": 2},
        "device_velocity": {"ids": 2, "submissions": 3},
        "content_mismatch": {"mismatches": 1},
        "address_velocity": {"submissions": 3, "window_s": DAY_S},
        "many_ids_on_address": {"ids": 2, "prefix_ids": 3},
    }
)


@settings(PROPERTY, max_examples=5)
@given(given_observations=observations_of_all_kinds, chance=st.randoms(use_true_random=False))
async def test_redis_equals_memory(on_redis, given_observations, chance):
    table, fake = on_redis.fresh().store, InMemoryLedger()
    engine = AbuseEngine(LOW, POLICY_NAME)
    for number, each in enumerate(muddled(given_observations, chance)):
        known = await table.observe(each)
        assert known == await fake.observe(each)
        events = engine.assess(each, known).events
        assert await table.record(events) == await fake.record(events)
        if number % 4 == 3:
            field, text = cleared_field(f"cmd-{number}", each.at_ms - 1)
            for one in (table, fake):
                await one.clear(each.tenant, each.subjects[-1], field, text)
                await one.switch(each.tenant, {"attack_frequency": {"active": number % 8 == 3}})
        assert await table.read_history(each.tenant, each.subjects) == await fake.read_history(
            each.tenant, each.subjects
        )
    for each in given_observations:
        for about in each.subjects:
            assert await table.history(each.tenant, about) == await fake.history(each.tenant, about)
    for scope in (ALL_TENANTS, None, "bank-1"):
        selection = Selection(scope=scope, over=True)
        assert await indexed(table, selection, most=3) == await indexed(fake, selection)
    assert await table.due(START_MS + 60 * DAY_MS, 1000) == await fake.due(START_MS + 60 * DAY_MS, 1000)


ADDRESS_RULES = ("address_velocity", "many_ids_on_address", "shared_address", "listed_network", "address_mismatch")
#: Rules that look at counts only, so that a flag once earned is earned in every order.
COUNTS_ONLY = AbusePolicy.model_validate(
    {
        "excessive_retries": {"failures": 2, "failure_window_s": 1800, "attempts": 4, "pause_s": 600, "pauses": 2},
        "attack_frequency": {"attacks": 2, "window_s": 7200},
        "attack_severity": {"attacks": 2, "window_s": 7200},
        "device_velocity": {"ids": 2, "submissions": 4, "window_s": 7200},
        "content_mismatch": {"mismatches": 1, "window_s": 7200},
        **{rule: {"active": False} for rule in ADDRESS_RULES},
    }
)


@st.composite
def a_day(draw: st.DrawFn) -> list[Observation]:
    """Of one UTC day; each submission is one observation, whatever comes twice."""
    count = draw(st.integers(1, 16))
    return [
        seen(
            number,
            60 * draw(st.integers(0, 17 * 60)) if draw(st.booleans()) else 60 * draw(st.integers(0, 90)),
            who=draw(st.integers(1, 2)),
            device=draw(st.sampled_from([None, 1, 2])),
            finding=draw(st.sampled_from([Finding.SPOOF, Finding.SPOOF, Finding.LIVE, Finding.MISMATCH])),
            severity=draw(st.sampled_from([0.3, 0.9])),
        )
        for number in range(count)
    ]


async def names_after(ledger: Ledger, observations) -> set[tuple[str, str]]:
    """Flags and levels recorded once each observation went the whole way."""
    engine, names = AbuseEngine(COUNTS_ONLY, POLICY_NAME), set()
    for each in observations:
        events = engine.assess(each, await ledger.observe(each)).events
        names |= {(event.flag_id, event.name) for event in await ledger.record(events)}
    return names


@settings(PROPERTY, max_examples=40)
@given(a_day(), st.randoms(use_true_random=False))
async def test_flags_in_any_order(observations, chance):
    in_order = sorted(observations, key=lambda each: each.at_ms)
    expected = await names_after(InMemoryLedger(), in_order)
    assert await names_after(InMemoryLedger(), muddled(observations, chance)) == expected
    assert await names_after(InMemoryLedger(), [*in_order, *in_order]) == expected


@settings(PROPERTY, max_examples=5)
@given(observations=a_day(), chance=st.randoms(use_true_random=False))
async def test_flags_in_any_order_on_redis(on_redis, observations, chance):
    expected = await names_after(InMemoryLedger(), observations)
    assert await names_after(on_redis.fresh().store, muddled(observations, chance)) == expected


async def test_simultaneous_workers_lose_nothing(held):
    """Attempts stay, the latest clearing counts, and one writer of an event is first."""
    workers, observations = (held.store, held.other_worker), series(every(1, 24), device=1, address=1)
    await asyncio.gather(*(workers[number % 2].observe(each) for number, each in enumerate(observations)))
    for about in observations[0].subjects:
        assert len((await held.store.history(None, about)).attempts) == 24
    offers = [flag_events(cause=f"sub-{number}") for number in range(10)]
    answers = await asyncio.gather(*(workers[number % 2].record(offer) for number, offer in enumerate(offers)))
    assert sorted(map(len, answers)) == [0] * 9 + [1]
    await asyncio.gather(*(clear_at(workers[at_s % 2], at_s) for at_s in range(1, 21)))
    assert (await held.store.history(None, ME)).cleared_at_ms == at_ms(20)


# Flags


async def test_first_writer_of_an_event_wins(held):
    """The event's cause gets it back as first stored; another cause publishes only what nobody had raised."""
    (event,) = flag_events()
    assert await held.store.record([]) == []
    assert await held.store.record([event]) == [event]
    again = replace(event, document=event.document.replace(b'"used":5', b'"used":9'))
    assert await held.other_worker.record([again]) == [event]
    (flag,) = await flags_of(held.store)
    assert flag.event["evidence"]["used"] == 5
    second = flag_events(2, cause="sub-6")
    assert await held.other_worker.record(second) == second[1:]
    assert [flag.level for flag in await flags_of(held.store)] == [2]


async def test_flags_of_tenant_and_subject(ledger):
    (event,) = flag_events(tenant="bank-1", about=DEVICE)
    assert await ledger.locate(event.flag_id) is None
    await ledger.record([event])
    assert await ledger.locate(event.flag_id) == Locator(tenant="bank-1", subject=DEVICE)
    assert len(await flags_of(ledger, DEVICE, "bank-1")) == 1
    for tenant, about in [(None, DEVICE), ("bank-2", DEVICE), ("bank-1", correlation(guid(2)))]:
        assert await flags_of(ledger, about, tenant) == []


async def test_flags_are_due_at_their_end(ledger):
    """Recording an event again makes the flag due no sooner, an escalation later."""
    (event,) = flag_events()
    end_ms = event.expires_at_ms

    async def due_from(at_ms: int) -> None:
        assert await ledger.due(at_ms - 1, 10) == []
        assert await ledger.due(at_ms, 10) == [event.flag_id]

    await ledger.record([event])
    await due_from(end_ms)
    await ledger.later(event.flag_id, end_ms + 5)
    await due_from(end_ms + 5)
    await ledger.record([event])
    await due_from(end_ms + 5)
    (_, second) = flag_events(2, at_s=60, cause="sub-6")
    await ledger.record([second])
    await due_from(second.expires_at_ms)


async def test_earliest_flags_are_due_first(ledger):
    events = [event for day in range(40) for event in flag_events(at_s=day * DAY_S)]
    await ledger.record(events)
    ids = [event.flag_id for event in reversed(events)]
    assert await ids_of(ledger) == ids
    assert await ledger.due(START_MS + 400 * DAY_MS, 7) == [event.flag_id for event in events[:7]]


async def test_forgotten_flag_leaves_no_trace(held):
    """A flag stays whose id only begins alike."""
    (alike,) = flag_events()
    longer = replace(alike, flag_id=f"{alike.flag_id}0")
    await held.store.record([alike, longer])
    await held.store.forget(alike.flag_id)
    assert await ids_of(held.store) == [longer.flag_id]
    assert list((await held.store.history(None, ME)).fields) == [field_of(longer)]
    mine, other = flag_events(2), flag_events(kind=FlagKind.ATTACK_FREQUENCY)
    fresh = held.fresh()
    await fresh.store.record([*mine, *other])
    await fresh.store.forget(mine[0].flag_id)
    assert [flag.kind for flag in await flags_of(fresh.store)] == [FlagKind.ATTACK_FREQUENCY]
    assert await fresh.store.locate(mine[0].flag_id) is None
    assert await ids_of(fresh.store) == [other[0].flag_id]
    assert await fresh.store.due(START_MS + 400 * DAY_MS, 10) == [other[0].flag_id]
    for name in (mine[0].flag_id, other[0].flag_id, "fl_" + "0" * 24):
        await fresh.store.forget(name)
    if fresh.redis is not None:
        assert await fresh.redis.keys() == []


# Switches


async def test_switches_replace_each_other(held):
    assert await held.store.switches("bank-1") == {}
    defaults = {"required": True, "attempts": 3, "liveness_challenges": ["blink"]}
    wanted = {"excessive_retries": {"active": True, "enforced": False}, "sessions": defaults}
    await held.store.switch("bank-1", wanted)
    assert await held.other_worker.switches("bank-1") == wanted
    assert (await held.other_worker.read_history("bank-1", [ME])).switches == wanted
    assert (await held.other_worker.observe(seen(1, tenant="bank-1"))).switches == wanted
    assert await held.store.switches(None) == {}
    await held.store.switch("bank-1", {})
    assert await held.store.switches("bank-1") == {}


# The server


async def test_everything_expires(on_redis):
    fresh = on_redis.fresh()
    client = fresh.redis.client
    await fresh.store.later("fl_" + "a" * 24, at_ms(0))
    await every_key_expires(fresh)  # also a flag put off whose part of `due` was gone
    await fresh.store.observe(seen(1, device=1, address=1, prefix=1))
    await fresh.store.record(flag_events())
    await fresh.store.clear(None, DEVICE, *cleared_field("cmd-1", 5))
    await fresh.store.switch(None, {})
    await every_key_expires(fresh)
    flags_live = (FLAG_TTL_S + GRACE_MS / 1000, 400 * DAY_S)
    lifetimes = dict.fromkeys(("flags", "flag", "due", "flag-index"), flags_live)
    lifetimes |= dict.fromkeys(("journal", "used"), (DAY_S, 4 * DAY_S))
    lifetimes["switches"] = (SWITCHES_TTL_S - 60, SWITCHES_TTL_S)
    kinds = {key: key.removeprefix(fresh.redis.prefix).split(":")[1] for key in await fresh.redis.keys()}
    assert set(kinds.values()) == set(lifetimes)
    assert sum(kind == "journal" for kind in kinds.values()) == 4
    for key, kind in kinds.items():
        least_s, most_s = lifetimes[kind]
        assert least_s < await client.pttl(key) / 1000 <= most_s, key


@pytest.mark.parametrize(
    ("write", "use", "least_s"),
    [
        (lambda ledger: ledger.switch(None, {}), lambda ledger: ledger.read_history(None, [ME]), SWITCHES_TTL_S - 60),
        (lambda ledger: ledger.observe(seen(1, 0)), lambda ledger: ledger.observe(seen(2, 1)), DAY_S),
    ],
    ids=["switches", "a journal"],
)
async def test_use_prolongs(on_redis, write, use, least_s):
    fresh = on_redis.fresh()
    await write(fresh.store)
    (key,) = await fresh.redis.keys()
    await fresh.redis.client.expire(key, 100)
    await use(fresh.store)
    assert await fresh.redis.client.ttl(key) > least_s


CALLS = {
    "read_history": lambda ledger: ledger.read_history(None, [ME]),
    "observe": lambda ledger: ledger.observe(seen(2, 1)),
    "history": lambda ledger: ledger.history(None, ME),
    "switches": lambda ledger: ledger.switches(None),
    "locate": lambda ledger: ledger.locate(flag_events()[0].flag_id),
    "record": lambda ledger: ledger.record(flag_events()),
}
READS = {
    "journal": ["observe", "history"],
    "flags": ["read_history", "observe", "history"],
    "switches": ["read_history", "observe", "switches"],
    "flag": ["locate"],
}
#: A list stands for a key of another type.
LIST = [b"somebody else's"]
RULE = b'{"attack_frequency": '
FOREIGN = {
    "journal": [LIST, b"junk", b"\xff\xfe", b"a b c d e f g", b"1700000000000 X 0.00  c  s"],
    "flags": [LIST, b"junk", b"\xff\xfe", b'x {"flag_id": 1}', b"x 5", b"x {}"],
    "switches": [LIST, b"junk", b"\xff", b"5", b"null", RULE + b"5}", RULE + b'{"active": "no"}}'],
    "flag": [LIST, b"junk", b"\xff", b"{}", b"[1]", b'[null, "person", "x"]'],
}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in FOREIGN.items() for value in values])
async def test_foreign_values_are_loud(on_redis, kind, value):
    """The error names the key, and what to do."""
    fresh = on_redis.fresh()
    client, ledger = fresh.redis.client, fresh.store
    await ledger.observe(seen(1))
    await ledger.record(flag_events())
    await ledger.switch(None, {})
    (key,) = [each for each in await fresh.redis.keys() if each.startswith(fresh.redis.key(f"abuse:{kind}:"))]
    calls = READS[kind]
    if value is LIST:
        await client.delete(key)
        await client.lpush(key, *LIST)
        calls = [*calls, "record"] if kind == "flags" else calls
    elif kind == "journal":
        await client.zadd(key, {value: at_ms(0)})
    elif kind == "flags":
        await client.hset(key, f"fl_{'0' * 24} level 1", value)
    else:
        await client.set(key, value)
    for call in calls:
        with pytest.raises(ForeignValue, match="delete it") as foreign:
            await CALLS[call](ledger)
        assert key in str(foreign.value)


async def test_prefixes_keep_installations_apart(on_redis):
    stranger = RedisLedger(on_redis.redis.connect(), on_redis.redis.key("other:"), FLAG_TTL_S)
    await on_redis.store.observe(seen(1))
    await on_redis.store.record(flag_events())
    await on_redis.store.switch(None, {"attack_frequency": {"active": False}})
    assert (await stranger.history(None, ME)).attempts == ()
    assert (await stranger.read_history(None, [ME])).switches == {}
    assert await ids_of(stranger) == []
