"""The contract of ledgers on senders: devices, addresses and prefixes that used a correlation id within a day."""

from __future__ import annotations

from abuse.flags.flag_events import cleared_field
from abuse.ledger.ledger import SENDERS_COUNTED, InMemoryLedger
from abuse.ledger.redis_ledger import RedisLedger
from abuse.subjects import SubjectType, correlation
from tests.contract.redis_servers import Held, PortKind
from tests.unit.abuse.builders import DAY_S, at_ms, guid, seen

PORT = PortKind(in_memory=InMemoryLedger, on_redis=lambda calls, prefix: RedisLedger(calls, prefix, 30 * DAY_S))


async def senders_of(held: Held, *observations):
    for each in observations:
        snapshot = await held.store.observe(each)
    return dict(snapshot.senders)


async def test_senders_within_a_day(held):
    others = [seen(n, n, who=2, device=n, address=n) for n in range(10, 20)]
    mine = [seen(1, 0, device=1), *(seen(n, DAY_S + n, device=n % 2 + 2, address=n) for n in range(2, 7))]
    found = await senders_of(held, *others, *mine)
    assert (found[SubjectType.DEVICE], found[SubjectType.ADDRESS]) == (2, 5)


async def test_cleared_senders_are_forgotten(held):
    await senders_of(held, *(seen(n, n, device=n) for n in range(1, 6)))
    await held.store.clear(None, correlation(guid(1)), *cleared_field("cmd-1", at_ms(10)))
    assert await senders_of(held, seen(9, 20, device=5)) == {SubjectType.DEVICE: 1}


async def test_work_is_bounded(on_redis):
    found = await senders_of(on_redis, *(seen(n, n / 100, device=n) for n in range(1, SENDERS_COUNTED + 20)))
    assert found == {SubjectType.DEVICE: SENDERS_COUNTED}
