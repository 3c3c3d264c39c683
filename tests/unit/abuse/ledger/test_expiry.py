"""The end of flags: each expires once, by the same bytes in every worker, and is forgotten after its grace."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest

from abuse.event_time import milliseconds
from abuse.flags.flag_events import Review, overridden, published
from abuse.flags.flag_events import confirmed as confirmed_for
from abuse.flags.flags import Flag, FlagEvent, FlagState
from abuse.ledger.expiry import MOST_AT_ONCE, record_expiry
from abuse.ledger.ledger import GRACE_MS, InMemoryLedger
from abuse.subjects import correlation
from tests.unit.abuse.builders import DAY_S, at_ms, expire_due, guid, review
from tests.unit.stream.review.command_cases import FLAG_TTL_S, flag, flagged

END_S = FLAG_TTL_S
GRACE_S = GRACE_MS / 1000


@pytest.fixture
def ledger() -> InMemoryLedger:
    return InMemoryLedger()


def confirmed(flag: Flag, word: Review) -> FlagEvent:
    return confirmed_for(flag, word, FLAG_TTL_S)


async def sweep(ledger: InMemoryLedger, at_s: float) -> list[FlagEvent]:
    """A round of the sweeper, without a topic."""
    events = await expire_due(ledger, at_ms(at_s))
    for event in events:
        await record_expiry(ledger, event)
    return events


def empty(ledger: InMemoryLedger) -> bool:
    return not (ledger.due_at or ledger.locators or any(ledger.fields.values()))


async def test_flag_expires_once_and_goes_after_its_grace(ledger):
    flag_id = await flagged(ledger, at_s=0)
    assert await sweep(ledger, END_S - 0.001) == []
    (event,) = await sweep(ledger, END_S)
    assert (event.flag_id, event.cause, event.expires_at_ms) == (flag_id, "expired", at_ms(END_S))
    held = await flag(ledger)
    assert (held.state, held.documents[-1]) == (FlagState.EXPIRED, event.document)
    for later_s in (END_S, END_S + 60, END_S + GRACE_S - 1):
        assert await sweep(ledger, later_s) == []
    assert not empty(ledger)
    assert await sweep(ledger, END_S + GRACE_S) == []
    assert empty(ledger)


async def test_expiry_says_what_the_flag_was(ledger):
    await flagged(ledger, level=2)
    before = (await flag(ledger)).event
    (event,) = await sweep(ledger, END_S + 500)
    document = orjson.loads(event.document)
    assert {name for name in before if document[name] != before[name]} == {"state", "refusal", "cause", "timestamp"}
    assert (document["state"], document["refusal"]) == ("expired", None)
    assert milliseconds(document["timestamp"]) == at_ms(END_S), "when it ended, not when somebody noticed"
    assert published(event.document) == event


async def test_flag_nobody_looked_at_still_expires(ledger):
    await flagged(ledger)
    late_s = END_S + GRACE_S + DAY_S
    assert [len(await sweep(ledger, late_s)) for _ in range(2)] == [1, 0]
    assert empty(ledger)


async def test_expiry_is_the_same_bytes_and_recorded_once(ledger):
    await flagged(ledger)
    events = [event for at_s in (END_S, END_S + 1, END_S + 9999) for event in await expire_due(ledger, at_ms(at_s))]
    assert len(events) == 3
    assert len({(event.event_id, event.document) for event in events}) == 1
    await record_expiry(ledger, events[0])
    fields, due = {key: dict(value) for key, value in ledger.fields.items()}, dict(ledger.due_at)
    await record_expiry(ledger, events[0])
    assert (ledger.fields, ledger.due_at) == (fields, due)


async def test_confirmed_flag_lives_on(ledger):
    await flagged(ledger)
    decided_s = 20 * DAY_S
    await ledger.record([confirmed(await flag(ledger), review(decided_s))])
    for at_s in (END_S, END_S + GRACE_S, decided_s + END_S - 1):
        assert await sweep(ledger, at_s) == []
        assert (await flag(ledger)).open_at(at_ms(at_s))
    (event,) = await sweep(ledger, decided_s + END_S)
    assert orjson.loads(event.document)["review"]["command_id"] == "c-1"
    assert (await flag(ledger)).state is FlagState.EXPIRED
    await sweep(ledger, decided_s + END_S + GRACE_S)
    assert empty(ledger)


async def test_overridden_flag_ends_in_silence(ledger):
    await flagged(ledger)
    await ledger.record([overridden(await flag(ledger), review(5))])
    for at_s in (END_S, END_S + 60, END_S + GRACE_S - 1):
        assert await sweep(ledger, at_s) == []
    assert (await flag(ledger)).state is FlagState.OVERRIDDEN
    await sweep(ledger, END_S + GRACE_S)
    assert empty(ledger)


@pytest.mark.parametrize("recorded_first", [True, False])
async def test_confirmation_that_crosses_the_expiry(ledger, recorded_first):
    """The flag expires another time."""
    await flagged(ledger)
    word = confirmed(await flag(ledger), review(END_S - 1))
    (first,) = await expire_due(ledger, at_ms(END_S))
    if recorded_first:
        await record_expiry(ledger, first)
    await ledger.record([word])
    if not recorded_first:
        await record_expiry(ledger, first)
    assert (await flag(ledger)).state is FlagState.CONFIRMED
    assert await sweep(ledger, END_S + GRACE_S) == []
    (second,) = await sweep(ledger, END_S - 1 + FLAG_TTL_S)
    assert second.event_id != first.event_id
    assert (await flag(ledger)).state is FlagState.EXPIRED


async def test_flag_without_events_is_forgotten(ledger):
    await flagged(ledger)
    ledger.fields.clear()
    ledger.due_at["fl_" + "0" * 24] = 0
    assert await sweep(ledger, END_S) == []
    assert empty(ledger)


async def people(ledger: InMemoryLedger, count: int) -> list[str]:
    return [await flagged(ledger, subject=correlation(guid(number))) for number in range(1, count + 1)]


async def test_more_flags_than_one_sweep_looks_at(ledger):
    names = await people(ledger, 2 * MOST_AT_ONCE + 50)
    rounds = [[event.flag_id for event in await sweep(ledger, END_S)] for _ in range(4)]
    assert [len(each) for each in rounds] == [MOST_AT_ONCE, MOST_AT_ONCE, 50, 0]
    assert sorted(name for each in rounds for name in each) == sorted(names)


async def test_flags_put_off_hold_up_no_others(ledger):
    """Flags confirmed or overridden meanwhile come first, and are as many as one sweep looks at."""
    names = await people(ledger, 3 * MOST_AT_ONCE)
    waiting = sorted(names)[-10:]
    for number in range(1, len(names) + 1):
        held = await flag(ledger, correlation(guid(number)))
        if held.flag_id not in waiting:
            await ledger.record([(overridden if number % 2 else confirmed)(held, review(END_S - 5, f"c-{number}"))])
            ledger.due_at[held.flag_id] = at_ms(END_S)
    expired = [event.flag_id for _ in range(3) for event in await sweep(ledger, END_S)]
    assert sorted(expired) == waiting
    assert await ledger.due(at_ms(END_S), 10_000) == []


@pytest.mark.parametrize("word", [None, confirmed, overridden])
@pytest.mark.parametrize("at_s", [END_S, END_S + GRACE_S, END_S + 2 * GRACE_S])
async def test_every_look_moves_the_next(ledger, at_s, word: Callable[[Flag, Review], FlagEvent] | None):
    """A sweep that finds the same flag again and again would never end."""
    await flagged(ledger)
    if word is not None:
        await ledger.record([word(await flag(ledger), review(5))])
    for _ in range(3):
        await sweep(ledger, at_s)
    assert await ledger.due(at_ms(at_s), 10) == []
