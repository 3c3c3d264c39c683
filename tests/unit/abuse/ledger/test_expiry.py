"""The end of flags: each expires once, by the same bytes in every worker, and is forgotten after its grace."""

from __future__ import annotations

import orjson
import pytest

from abuse.event_time import milliseconds
from abuse.flags.flag_events import Review, confirmed, overridden, published
from abuse.flags.flags import FlagEvent, FlagKind, FlagState
from abuse.ledger.expiry import MOST_AT_ONCE, expire_due, record_expiry
from abuse.ledger.ledger import GRACE_MS, InMemoryLedger
from abuse.subjects import correlation
from tests.unit.abuse.builders import DAY_S, at_ms, guid
from tests.unit.stream.review.command_cases import FLAG_TTL_S, ME, flag, flag_events, flagged

END_S = FLAG_TTL_S
GRACE_S = GRACE_MS / 1000


def review(at_s: float, name: str = "c-1") -> Review:
    return Review(command_id=name, actor="ann", reason="fraud", note="", at_ms=at_ms(at_s))


async def sweep(ledger: InMemoryLedger, at_s: float) -> list[FlagEvent]:
    """A round of the sweeper, without a topic."""
    events = await expire_due(ledger, at_ms(at_s))
    for event in events:
        await record_expiry(ledger, event)
    return events


def empty(ledger: InMemoryLedger) -> bool:
    return not (ledger.due_at or ledger.locators or any(ledger.fields.values()))


async def test_a_flag_expires_once_at_its_time():
    ledger = InMemoryLedger()
    flag_id = await flagged(ledger, at_s=0)
    assert await sweep(ledger, END_S - 0.001) == []
    (event,) = await sweep(ledger, END_S)
    assert (event.flag_id, event.cause, event.expires_at_ms) == (flag_id, "expired", at_ms(END_S))
    held = await flag(ledger)
    assert held.state is FlagState.EXPIRED
    assert held.documents[-1] == event.document
    for later_s in (END_S, END_S + 60, END_S + GRACE_S - 1):
        assert await sweep(ledger, later_s) == []


async def test_the_event_says_what_the_flag_was_and_that_it_refuses_nobody():
    ledger = InMemoryLedger()
    await flagged(ledger, level=2)
    before = (await flag(ledger)).event
    (event,) = await sweep(ledger, END_S + 500)
    document = orjson.loads(event.document)
    changed = {name for name in before if document[name] != before[name]}
    assert changed == {"state", "refusal", "cause", "timestamp"}
    assert (document["state"], document["refusal"]) == ("expired", None)
    assert milliseconds(document["timestamp"]) == at_ms(END_S), "when it ended, not when somebody noticed"
    assert published(event.document) == event


async def test_after_its_grace_every_trace_is_gone():
    ledger = InMemoryLedger()
    await flagged(ledger)
    await sweep(ledger, END_S)
    await sweep(ledger, END_S + GRACE_S - 1)
    assert not empty(ledger)
    assert await sweep(ledger, END_S + GRACE_S) == []
    assert empty(ledger)


async def test_a_flag_nobody_looked_at_for_long_still_expires_before_it_is_forgotten():
    ledger = InMemoryLedger()
    await flagged(ledger)
    late_s = END_S + GRACE_S + DAY_S
    assert len(await sweep(ledger, late_s)) == 1
    assert await sweep(ledger, late_s) == []
    assert empty(ledger)


async def test_expiry_is_the_same_bytes():
    ledger = InMemoryLedger()
    await flagged(ledger)
    events = [event for at_s in (END_S, END_S + 1, END_S + 9999) for event in await expire_due(ledger, at_ms(at_s))]
    assert len(events) == 3
    assert len({(event.event_id, event.document) for event in events}) == 1


async def test_settling_twice_is_settling_once():
    ledger = InMemoryLedger()
    await flagged(ledger)
    (event,) = await expire_due(ledger, at_ms(END_S))
    await record_expiry(ledger, event)
    fields, due = {key: dict(value) for key, value in ledger.fields.items()}, dict(ledger.due_at)
    await record_expiry(ledger, event)
    assert (ledger.fields, ledger.due_at) == (fields, due)


async def test_a_confirmed_flag_lives_a_life_from_its_confirmation_on_and_then_expires():
    ledger = InMemoryLedger()
    await flagged(ledger)
    decided_s = 20 * DAY_S
    await ledger.record([confirmed(await flag(ledger), review(decided_s), FLAG_TTL_S)])
    for at_s in (END_S, END_S + GRACE_S, decided_s + END_S - 1):
        assert await sweep(ledger, at_s) == []
        assert (await flag(ledger)).open_at(at_ms(at_s))
    (event,) = await sweep(ledger, decided_s + END_S)
    assert orjson.loads(event.document)["review"]["command_id"] == "c-1"
    assert (await flag(ledger)).state is FlagState.EXPIRED
    await sweep(ledger, decided_s + END_S + GRACE_S)
    assert empty(ledger)


async def test_an_overridden_flag_ends_in_silence():
    ledger = InMemoryLedger()
    await flagged(ledger)
    await ledger.record([overridden(await flag(ledger), review(5))])
    for at_s in (END_S, END_S + 60, END_S + GRACE_S - 1):
        assert await sweep(ledger, at_s) == []
    assert (await flag(ledger)).state is FlagState.OVERRIDDEN
    await sweep(ledger, END_S + GRACE_S)
    assert empty(ledger)


@pytest.mark.parametrize("settled_first", [True, False])
async def test_confirmed_in_time_but_carried_out_after_it_was_seen_to_expire_it_ends_another_time(settled_first):
    ledger = InMemoryLedger()
    await flagged(ledger)
    word = confirmed(await flag(ledger), review(END_S - 1), FLAG_TTL_S)
    (first,) = await expire_due(ledger, at_ms(END_S))
    for step in (
        (record_expiry(ledger, first), ledger.record([word]))
        if settled_first
        else (
            ledger.record([word]),
            record_expiry(ledger, first),
        )
    ):
        await step
    assert (await flag(ledger)).state is FlagState.CONFIRMED
    assert await sweep(ledger, END_S + GRACE_S) == []
    (second,) = await sweep(ledger, END_S - 1 + FLAG_TTL_S)
    assert second.event_id != first.event_id
    assert (await flag(ledger)).state is FlagState.EXPIRED


async def test_a_flag_that_left_no_trace_but_its_name_is_forgotten():
    ledger = InMemoryLedger()
    await flagged(ledger)
    ledger.fields.clear()
    assert await sweep(ledger, END_S) == []
    assert empty(ledger)
    ledger.due_at["fl_" + "0" * 24] = 0
    assert await sweep(ledger, 1) == []
    assert empty(ledger)


async def people(ledger: InMemoryLedger, numbers: range, at_s: float = 0.0) -> list[str]:
    return [await flagged(ledger, subject=correlation(guid(number)), at_s=at_s) for number in numbers]


async def test_more_flags_than_one_sweep_looks_at_all_expire_in_turn():
    ledger = InMemoryLedger()
    names = await people(ledger, range(1, 2 * MOST_AT_ONCE + 51))
    rounds = [[event.flag_id for event in await sweep(ledger, END_S)] for _ in range(4)]
    assert [len(each) for each in rounds] == [MOST_AT_ONCE, MOST_AT_ONCE, 50, 0]
    assert sorted(name for each in rounds for name in each) == sorted(names)


async def test_flags_that_are_put_off_hold_up_no_others():
    """Flags confirmed or overridden meanwhile come first, and are as many as one sweep looks at."""
    ledger = InMemoryLedger()
    names = await people(ledger, range(1, 3 * MOST_AT_ONCE + 1))
    waiting = sorted(names)[-10:]
    for number in range(1, 3 * MOST_AT_ONCE + 1):
        held = await flag(ledger, correlation(guid(number)))
        if held.flag_id not in waiting:
            word = review(END_S - 5, f"c-{number}")
            await ledger.record([overridden(held, word) if number % 2 else confirmed(held, word, FLAG_TTL_S)])
            ledger.due_at[held.flag_id] = at_ms(END_S)
    expired = [event.flag_id for _ in range(3) for event in await sweep(ledger, END_S)]
    assert sorted(expired) == waiting
    assert await ledger.due(at_ms(END_S), 10_000) == []


async def test_every_look_moves_the_time_of_the_next():
    """In every state of a flag: a sweep that finds the same flag again and again would never end."""
    for at_s in (END_S, END_S + GRACE_S, END_S + 2 * GRACE_S):
        for word in (None, confirmed, overridden):
            ledger = InMemoryLedger()
            await flagged(ledger, FlagKind.ATTACK_SEVERITY)
            if word is confirmed:
                await ledger.record([confirmed(await flag(ledger), review(5), FLAG_TTL_S)])
            elif word is overridden:
                await ledger.record([overridden(await flag(ledger), review(5))])
            for _ in range(3):
                await sweep(ledger, at_s)
            assert await ledger.due(at_ms(at_s), 10) == []


def test_an_expiry_is_read_back_from_its_document():
    (event,) = flag_events(subject=ME)
    assert published(event.document) == event
