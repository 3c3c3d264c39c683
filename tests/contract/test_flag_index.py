"""The contract of the flag index: in memory, on the embedded store over TCP, on a real Redis and a real cluster.

Whatever the order and the repetition of a flag's events, the flag has one current entry, in the
place of its state and severity; pages have every entry once, in order, also where thousands are of one time.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import orjson
import pytest

from abuse.flags.flag_events import confirmed, expired, flags_from, overridden, rescored, stored
from abuse.flags.flags import Flag, FlagEvent, FlagKind, Severity
from abuse.ledger.flag_index import ALL_TENANTS, LONGEST_MS, SEVERITIES, Position, Scope, Selection, Side, side_of
from abuse.ledger.ledger import InMemoryLedger, Ledger
from abuse.ledger.redis_ledger import RedisLedger
from abuse.redis_port import ForeignValue
from abuse.subjects import correlation
from tests.contract.redis_servers import RedisServer
from tests.contract.test_ledger import FLAG_TTL_S, flag_events, indexed
from tests.unit.abuse.builders import at_ms, guid, review

LOW, MEDIUM, HIGH, CRITICAL = SEVERITIES


@pytest.fixture
def ledger(any_redis: RedisServer | None) -> Ledger:
    if any_redis is None:
        return InMemoryLedger()
    return RedisLedger(any_redis.connect(), any_redis.prefix, FLAG_TTL_S)


def levels(*severities: Severity, who: int = 1, at_s: float = 0, tenant: str | None = None) -> list[FlagEvent]:
    """A flag's events up to the level of the last severity, all of one submission."""
    about, kind = correlation(guid(who)), FlagKind.FACE_REUSE
    return flag_events(about=about, kind=kind, severities=severities, cause=f"sub-{at_s}", at_s=at_s, tenant=tenant)


def flag_of(events: Sequence[FlagEvent]) -> Flag:
    (flag,) = flags_from({f"{event.flag_id} {event.name}": stored(event) for event in events})
    return flag


async def current(ledger: Ledger, selection: Selection) -> list[str]:
    """Flags whose entries say what they are, newest first."""
    entries = await indexed(ledger, selection, 100)
    flags = await ledger.read_flags(sorted({entry.flag_id for entry in entries}))
    return [entry.flag_id for entry in entries if entry.is_current(flags[entry.flag_id])]


async def places(ledger: Ledger, scope: Scope = ALL_TENANTS) -> list[tuple[Side, Severity]]:
    """Where the only flag has current entries."""
    found = []
    for severity in SEVERITIES:
        for entry in await indexed(ledger, Selection(scope=scope, severities=frozenset({severity}), over=True), 10):
            (flag,) = (await ledger.read_flags([entry.flag_id])).values()
            found += [(side_of(flag.state), severity)] if entry.is_current(flag) else []
    return found


async def test_empty_index(ledger):
    listing = await ledger.listed(Selection(over=True), None, 10)
    assert (listing.entries, listing.more) == ((), False)
    assert await ledger.read_flags([]) == {}
    assert await ledger.read_flags(["fl_" + "0" * 24]) == {}


async def test_flags_by_tenant_and_severity(ledger):
    made = [
        levels(severity, who=who, at_s=at_s, tenant=tenant)[0]
        for who, (severity, at_s, tenant) in enumerate(
            [(LOW, 5, None), (HIGH, 3, "bank-1"), (LOW, 9, "bank-1"), (HIGH, 1, None), (CRITICAL, 7, "bank-2")]
        )
    ]
    await ledger.record(made)
    ids = [event.flag_id for event in made]

    async def listed(scope: Scope, *severities: Severity) -> list[int]:
        selection = Selection(scope=scope, severities=frozenset(severities or SEVERITIES))
        return [ids.index(name) for name in await current(ledger, selection)]

    assert await listed(ALL_TENANTS) == [2, 4, 0, 1, 3]
    assert await listed(None) == [0, 3]
    assert await listed("bank-1") == [2, 1]
    assert await listed("bank-3") == []
    assert await listed(ALL_TENANTS, HIGH) == [1, 3]
    assert await listed(ALL_TENANTS, LOW, CRITICAL) == [2, 4, 0]
    assert await listed("bank-1", MEDIUM) == []


@pytest.mark.parametrize("most", [1, 2, 7, 100])
async def test_pages_have_entries_once(ledger, most):
    chance = random.Random(most)
    made = [levels(chance.choice(SEVERITIES), who=who, at_s=chance.choice([1, 1, 1, 2, 3]))[0] for who in range(60)]
    await ledger.record(made)
    in_turn = sorted(((orjson.loads(event.document)["last_seen"], event.flag_id) for event in made), reverse=True)
    assert [entry.flag_id for entry in await indexed(ledger, Selection(), most)] == [name for _, name in in_turn]


async def test_entries_added_at_a_position(ledger):
    made = [levels(LOW, who=who, at_s=1)[0] for who in range(40)]
    await ledger.record(made)
    ids = sorted((event.flag_id for event in made), reverse=True)
    after = Position(at_ms=at_ms(1), flag_id=ids[35], ties=1)
    listing = await ledger.listed(Selection(), after, 2)
    assert [entry.flag_id for entry in listing.entries] == ids[36:38]


async def test_escalated_flag_comes_first(ledger):
    first, other = levels(MEDIUM), levels(HIGH, who=2, at_s=1)
    await ledger.record([*first, *other])
    await ledger.record(levels(MEDIUM, HIGH, at_s=2)[1:])
    assert await current(ledger, Selection()) == [first[0].flag_id, other[0].flag_id]
    assert await indexed(ledger, Selection(severities=frozenset({MEDIUM})), 10) == [], "nothing stale in usual order"


RISING = [*levels(MEDIUM), *levels(MEDIUM, HIGH, at_s=10)[1:], *levels(MEDIUM, HIGH, CRITICAL, at_s=20)[2:]]
CONFIRMED = confirmed(flag_of(RISING[:1]), review(15), FLAG_TTL_S)
LATER_CONFIRMED = confirmed(flag_of(RISING), review(40, "c-3"), FLAG_TTL_S)
OVERRIDDEN = overridden(flag_of(RISING), review(30, "c-2"))
LIVES = {
    "rises": (RISING, Side.OPEN, CRITICAL),
    "is rescored": ([*RISING[:1], rescored(flag_of(RISING[:1]), review(15), guid(7))], Side.OPEN, HIGH),
    "is confirmed before it rises": ([*RISING, CONFIRMED], Side.OPEN, CRITICAL),
    "is overridden": ([*RISING, OVERRIDDEN], Side.OVER, CRITICAL),
    "is overridden before it rises": ([*RISING[:2], overridden(flag_of(RISING[:1]), review(15))], Side.OVER, MEDIUM),
    "is confirmed and then overridden": ([*RISING[-2:], CONFIRMED, OVERRIDDEN], Side.OVER, CRITICAL),
    "is overridden and confirmed at once": ([*RISING[-2:], OVERRIDDEN, LATER_CONFIRMED], Side.OPEN, CRITICAL),
    "expires": ([*RISING, expired(flag_of(RISING))], Side.OVER, CRITICAL),
    "expires before it rises": ([*RISING[:2], expired(flag_of(RISING[:1]))], Side.OPEN, HIGH),
    "expires while it is confirmed": ([*RISING[-1:], LATER_CONFIRMED, expired(flag_of(RISING))], Side.OPEN, CRITICAL),
}


@pytest.mark.parametrize("life", LIVES)
async def test_one_current_entry(life, any_redis):
    events, side, severity = LIVES[life]
    for number, order in enumerate(permutations(events)):
        ledger: Ledger = InMemoryLedger()
        if any_redis is not None:
            ledger = RedisLedger(any_redis.connect(), any_redis.key(f"{number}:"), FLAG_TTL_S)
        for event in (*order, order[0]):
            await ledger.record([event])
        assert await places(ledger) == [(side, severity)], [event.name for event in order]
        assert await places(ledger, None) == [(side, severity)]


async def test_stored_severity_counts(ledger):
    stored_first = [*levels(LOW), *levels(LOW, MEDIUM, at_s=5)[1:]]
    await ledger.record(stored_first)
    await ledger.record(levels(LOW, CRITICAL, at_s=9)[1:])
    assert await places(ledger) == [(Side.OPEN, MEDIUM)]


async def test_listed_at_the_stored_time(ledger):
    """A cause that loses a race leaves no later time behind: a rebuild, which knows stored events, lists alike."""
    await ledger.record([*levels(LOW), *levels(LOW, who=2, at_s=5)])
    await ledger.record(levels(LOW, at_s=9))
    assert [entry.at_ms for entry in await indexed(ledger, Selection(), 10)] == [at_ms(5), at_ms(0)]


async def test_forgotten_flags_leave_all_scopes(ledger):
    mine, other = levels(MEDIUM, HIGH, tenant="bank-1"), levels(LOW, who=2, tenant="bank-1")
    await ledger.record([*mine, *other, overridden(flag_of(mine), review(5))])
    await ledger.forget(mine[0].flag_id)
    for scope in (ALL_TENANTS, "bank-1"):
        entries = await indexed(ledger, Selection(scope=scope, over=True), 10)
        assert [entry.flag_id for entry in entries] == [other[0].flag_id]


async def test_too_old_entries_go(ledger):
    await ledger.record(levels(LOW))
    late_s = LONGEST_MS / 1000
    await ledger.record(levels(LOW, who=2, at_s=late_s))
    assert len(await indexed(ledger, Selection(), 10)) == 2
    await ledger.record(levels(LOW, who=3, at_s=late_s + 1))
    assert len(await indexed(ledger, Selection(), 10)) == 2


async def test_foreign_values_are_loud(redis_server):
    ledger = RedisLedger(redis_server.connect(), redis_server.prefix, FLAG_TTL_S)
    (event,) = levels(LOW)
    key = redis_server.key("abuse:flag-index:{*|low|open}")
    await redis_server.client.zadd(key, {b"\xff": 5})
    with pytest.raises(ForeignValue, match="delete it") as foreign:
        await ledger.listed(Selection(), None, 10)
    assert key in str(foreign.value)
    await ledger.record([event])
    await redis_server.client.hset(
        redis_server.key(f"abuse:flags:{{|correlation_id|{guid(1)}}}"), f"{event.flag_id} level 1", "x"
    )
    with pytest.raises(ForeignValue):
        await ledger.read_flags([event.flag_id])
    with pytest.raises(ForeignValue):
        await ledger.record([replace(event, cause="sub-9")])
