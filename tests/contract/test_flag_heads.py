"""Contract of the heads of flag events, as a ledger returns them to rules; a cause gets its own events whole."""

from __future__ import annotations

from dataclasses import replace

from abuse.flags.flag_events import document_of
from abuse.flags.flag_heads import LONGEST, REMEMBERED_S, HeadMemory
from abuse.ledger.ledger import InMemoryLedger
from abuse.ledger.redis_ledger import RedisLedger
from abuse.subjects import correlation
from tests.contract.redis_servers import PortKind
from tests.contract.test_ledger import FLAG_TTL_S, ME, flag_events
from tests.unit.abuse.builders import DAY_MS, guid, seen

PORT = PortKind(in_memory=InMemoryLedger, on_redis=lambda calls, prefix: RedisLedger(calls, prefix, FLAG_TTL_S))
OTHERS = [correlation(guid(number)) for number in range(1, 13)]


async def test_heads_tell_rules_what_events_do(held):
    """The same from the worker that wrote the events and from another, the first time and again."""
    await held.store.record(flag_events(3))
    (whole,) = (await held.store.read_history(None, [ME])).flags
    for reader in (held.other_worker, held.other_worker, held.store):
        (history,) = (await reader.read_heads(None, [ME])).histories
        (head,) = history.flags
        assert replace(head, documents=()) == replace(whole, documents=())
        assert not any("evidence" in text for text in history.fields.values())
        assert (await reader.observe(seen(9, 5))).histories[0].fields == history.fields


async def test_cause_gets_its_events_whole(held):
    events = flag_events(2, cause="sub-5")
    await held.store.record(events)
    for reader in (held.store, held.other_worker):
        (history,) = (await reader.read_heads(None, [ME], "sub-5")).histories
        assert sorted(map(document_of, history.fields.values())) == sorted(event.document for event in events)


async def test_event_that_went_is_no_head(held):
    (event,) = flag_events()
    await held.store.record([event])
    await held.other_worker.forget(event.flag_id)
    assert (await held.store.read_heads(None, [ME])).flags == ()


async def test_events_of_one_cluster_are_few_commands(on_redis):
    """Twelve members rise at once, all with the same evidence."""
    sent: list[int] = []

    class Counted:
        async def execute(self, commands):
            sent.extend([len(commands)] if commands else [])
            return await on_redis.store._calls.execute(commands)

    ledger = RedisLedger(Counted(), "few:" + guid(1), FLAG_TTL_S)
    events = [event for about in OTHERS for event in flag_events(about=about)]
    assert len(await ledger.record(events)) == len(events) == 12
    assert len(sent) == 1
    assert sent[0] <= 6 * len(events), "a few commands of each event, and a few for all"
    sent.clear()
    await ledger.read_heads(None, OTHERS)
    assert sent == [len(OTHERS) + 1], "names only: the heads are remembered"


def test_memory_is_bounded_in_time_and_number():
    now = [1000.0]
    memory = HeadMemory(clock=lambda: now[0], most=2)
    for number in range(3):
        memory.put("key", f"event {number}", "text")
    memory.put("key", "foreign", "x" * (LONGEST + 1))
    assert [memory.get("key", f"event {number}") for number in range(3)] == [None, "text", "text"]
    assert memory.get("key", "foreign") is None
    now[0] += REMEMBERED_S
    assert memory.get("key", "event 2") is None, "it may be of a flag that was erased and raised anew"


async def test_cleared_subject_stays_cleared(held):
    await held.store.clear(None, ME, "cleared c-1", str(DAY_MS))
    for reader in (held.store, held.other_worker, held.store):
        (history,) = (await reader.read_heads(None, [ME])).histories
        assert (history.cleared_at_ms, history.unlinked_at_ms) == (DAY_MS, DAY_MS)
