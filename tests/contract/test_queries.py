"""The contract of queries: in memory, on the embedded store over TCP, on a real Redis and a real cluster.

A page is full where there are enough flags, in a number of round trips that doesn't grow with
them; stale entries of the index show nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from abuse.flags.flag_events import confirmed, overridden
from abuse.flags.flags import FlagEvent, Severity
from abuse.ledger.flag_index import ALL_TENANTS, Scope, Selection
from abuse.ledger.ledger import InMemoryLedger, Ledger
from abuse.ledger.redis_ledger import RedisLedger
from abuse.links.link_store import InMemoryLinkStore
from abuse.subjects import correlation
from config.errors import Unavailable
from stream.review import queries
from stream.review.queries import Queries
from stream.runtime.patience import DependencyTimeout, RetryPolicy
from tests.contract.redis_servers import CountedRedis, RedisServer
from tests.contract.test_flag_index import FLAG_TTL_S, MEDIUM, flag_of, levels
from tests.unit.abuse.builders import at_ms, guid, review, seen

NOW_MS = at_ms(1_000_000)
BATCH = 500


def over(ledger: Ledger) -> Queries:
    return Queries(ledger=ledger, links=InMemoryLinkStore(), patience=RetryPolicy(), at_most_s=20)


@dataclass
class Asked:
    """The queries, the ledger beneath, and a count of its round trips to Redis."""

    ledger: Ledger
    calls: CountedRedis | None = None

    @property
    def queries(self) -> Queries:
        return over(self.ledger)

    async def raised(self, events: Sequence[FlagEvent]) -> list[str]:
        for start in range(0, len(events), BATCH):
            await self.ledger.record(events[start : start + BATCH])
        return [event.flag_id for event in events]


@pytest.fixture
def asked(any_redis: RedisServer | None) -> Asked:
    return Asked(InMemoryLedger()) if any_redis is None else on_redis(any_redis)


def on_redis(redis_server: RedisServer) -> Asked:
    calls = CountedRedis(redis_server.connect())
    return Asked(RedisLedger(calls, redis_server.prefix, FLAG_TTL_S), calls)


def crowd(count: int, severity: Severity = MEDIUM, tenant: str | None = None) -> list[FlagEvent]:
    """So many people's flags, the newest first."""
    return [levels(severity, who=who, at_s=100_000 - who, tenant=tenant)[0] for who in range(count)]


async def walked(asked: Asked, selection: Selection, limit: int) -> list[list[str]]:
    """Ids by page."""
    page = await asked.queries.flags(selection, NOW_MS, limit=limit)
    found = [[flag.flag_id for flag in page.flags]]
    while page.next is not None:
        page = await asked.queries.flags(selection, NOW_MS, limit=limit, cursor=page.next)
        found.append([flag.flag_id for flag in page.flags])
    return found


async def three_trips_a_page(asked: Asked, count: int) -> None:
    ids = await asked.raised(crowd(count))
    assert asked.calls is not None
    cursor = None
    for number in range(4):
        asked.calls.trips.clear()
        page = await asked.queries.flags(Selection(), NOW_MS, limit=50, cursor=cursor)
        assert len(asked.calls.trips) == 3
        assert [flag.flag_id for flag in page.flags] == ids[number * 50 : (number + 1) * 50]
        cursor = page.next


async def test_page_takes_three_trips(redis_server):
    await three_trips_a_page(on_redis(redis_server), 1000)


async def test_huge_index_takes_three_trips(real_redis):
    await three_trips_a_page(on_redis(real_redis), 20_000)


async def test_flag_takes_two_trips(asked):
    (flag_id,) = await asked.raised(levels(MEDIUM, tenant="bank-1"))
    before = len(asked.calls.trips) if asked.calls else 0
    flag = await asked.queries.flag(flag_id)
    assert flag is not None
    assert (flag.flag_id, len(flag.documents)) == (flag_id, 1)
    assert asked.calls is None or len(asked.calls.trips) - before == 2
    scopes: dict[Scope, bool] = {ALL_TENANTS: True, "bank-1": True, None: False, "bank-2": False}
    for scope, known in scopes.items():
        assert (await asked.queries.flag(flag_id, scope) is not None) is known
    located = await asked.queries.locate(flag_id)
    assert located is not None
    assert located.tenant == "bank-1"


@pytest.mark.parametrize("limit", [1, 7, 30, 100])
async def test_pages_are_full(asked, limit):
    assert await walked(asked, Selection(), limit) == [[]]
    ids = await asked.raised(crowd(30))
    found = await walked(asked, Selection(), limit)
    assert [name for page in found for name in page] == ids
    assert all(len(page) == limit for page in found[:-1])
    assert found[-1], "no page is empty but the only one"


async def test_stale_entries_leave_pages_full(asked):
    """Also with stale entries: the first events of flags that have ended come again."""
    events = crowd(40)
    ids = await asked.raised(events)
    gone = events[0:40:2]
    await asked.raised([overridden(flag_of([event]), review(500_000)) for event in gone])
    await asked.raised(gone)
    assert await walked(asked, Selection(), 10) == [ids[1:21:2], ids[21::2]]
    everyone = [name for page in await walked(asked, Selection(over=True), 10) for name in page]
    assert sorted(everyone) == sorted(ids)
    late = await asked.queries.flags(Selection(), at_ms(FLAG_TTL_S + 100_000), limit=10)
    assert late.flags == (), "time alone ends a flag"


@pytest.mark.parametrize("cursor", ["", "x", "5-1-fl_", "1-1-fl_" + "0" * 23 + "g", "-1-1-fl_" + "0" * 24])
async def test_foreign_cursors_are_refused(cursor):
    with pytest.raises(ValueError, match="cursor"):
        await over(InMemoryLedger()).flags(Selection(), NOW_MS, limit=1, cursor=cursor)


async def test_changed_flags_are_not_missed(asked, monkeypatch):
    monkeypatch.setattr(queries, "PAGE", 3)
    events = crowd(10)
    ids = await asked.raised(events)
    found = []
    async for flag in asked.queries.every_flag(Selection(), NOW_MS):
        found.append(flag.flag_id)
        if len(found) == 2:
            await asked.raised([confirmed(flag_of([event]), review(500_000), FLAG_TTL_S) for event in events[1:9:7]])
    assert sorted(found) == sorted(ids)
    assert found[-1] == ids[8]


async def test_history_of_a_subject(asked):
    assert (await asked.queries.history(None, correlation(guid(1)))).is_empty
    await asked.ledger.observe(seen(1))
    (flag_id,) = await asked.raised(levels(MEDIUM))
    history = await asked.queries.history(None, correlation(guid(1)))
    assert not history.is_empty
    assert [flag.flag_id for flag in history.history.flags] == [flag_id]
    assert len(history.history.attempts) == 1
    await asked.ledger.switch("bank-1", {"face_reuse": {"active": False}})
    assert await asked.queries.switches("bank-1") == {"face_reuse": {"active": False}}


async def test_queries_give_up():
    def away(name: str) -> None:
        raise Unavailable("redis", "ConnectionError")

    asking = Queries(ledger=InMemoryLedger(away), links=InMemoryLinkStore(), patience=RetryPolicy(), at_most_s=0)
    with pytest.raises(DependencyTimeout):
        await asking.flags(Selection(), NOW_MS, limit=1)
