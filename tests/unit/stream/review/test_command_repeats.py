"""Commands carried out once: a crash, a lost answer or a repeat anywhere changes nothing of what comes out."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest

from abuse.flags.flags import FlagState
from abuse.review.audit import check
from config.errors import Unavailable
from stream.events.message.messages import Output
from tests.unit.stream.review.command_cases import ME, OTHER, Reviewer, about, flag, flagged, moved, published, sent
from tests.unit.stream.review.golden_cases import CASES, SHADOW, prepared, three_flags
from tests.unit.stream.runtime import virtual_time

#: Of each kind and outcome one, and none that needs a command before.
NAMES = [
    *("confirm a subject", "confirm a face", "override a subject", "override a face", "reset", "switch"),
    *(
        "erase a correlation id",
        "erase a device",
        "confirm an unknown flag",
        "a review of nothing",
        "an unknown command",
    ),
]
each_case = pytest.mark.parametrize("name", NAMES)
ENFORCED = {"device_velocity": {"enforced": True}}


class Crash(Exception):
    """The process ends here."""


@dataclass
class Fault:
    """Raised at one call, counted over all stores: before or after its effect."""

    at: int
    when: str
    error: Exception
    calls: int = 0
    last: str = ""

    def due(self, name: str) -> str | None:
        self.calls += 1
        self.last = name
        return self.when if self.calls == self.at else None


class Faulty:
    """A store that meets the fault."""

    def __init__(self, inner: Any, fault: Fault) -> None:
        self._inner, self._fault = inner, fault

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name.startswith("_") or not callable(found):
            return found

        async def call(*args: Any) -> Any:
            when = self._fault.due(f"{type(self._inner).__name__}.{name}")
            if when == "before":
                raise self._fault.error
            answer = await found(*args)
            if when == "after":
                raise self._fault.error
            return answer

        return call


def faulty(reviewer: Reviewer, fault: Fault) -> Reviewer:
    stores = ("ledger", "log", "audit", "links", "faces", "pictures", "decisions")
    return replace(reviewer, **{name: Faulty(getattr(reviewer, name), fault) for name in stores})


async def sound(name: str) -> tuple[Reviewer, list[Output], int]:
    """A reviewer on which nothing went wrong, what it put out, and how many calls it made."""
    reviewer, fault = await prepared(CASES[name]), Fault(0, "", Crash())
    outputs = await faulty(reviewer, fault).obey(CASES[name].given)
    assert fault.calls >= 5
    return reviewer, outputs, fault.calls


async def injected(name: str, at: int, when: str, error: Exception) -> tuple[Reviewer, list[Output] | None]:
    """The same with a fault at one call; what it put out if it got so far."""
    reviewer = await prepared(CASES[name])
    try:
        return reviewer, await faulty(reviewer, Fault(at, when, error)).obey(CASES[name].given)
    except Crash:
        return reviewer, None


def same(reviewer: Reviewer, outputs: list[Output] | None, other: Reviewer, others: list[Output]) -> None:
    assert outputs == others
    held = [(each.table, each.audit.entries, each.log.kept) for each in (reviewer, other)]
    assert held[0] == held[1]
    checked = check(map(orjson.loads, reviewer.audit.entries))
    assert (checked.entries, checked.problems) == (1, ())


@each_case
async def test_crash_at_any_call(name):
    want, outputs, calls = await sound(name)
    for at in range(1, calls + 1):
        for when in ("before", "after"):
            reviewer, died = await injected(name, at, when, Crash())
            assert died is None
            same(reviewer, await reviewer.obey(CASES[name].given), want, outputs)


@pytest.mark.parametrize("name", ["confirm a subject", "override a subject", "switch"])
async def test_second_crash_on_the_way(name):
    want, outputs, calls = await sound(name)
    for first in range(1, calls + 1):
        for second in range(1, calls + 1):
            reviewer, _ = await injected(name, first, "after", Crash())
            with suppress(Crash):
                await faulty(reviewer, Fault(second, "after", Crash())).obey(CASES[name].given)
            same(reviewer, await reviewer.obey(CASES[name].given), want, outputs)


@each_case
def test_call_without_an_answer_is_made_again(name):
    """Whether or not the call took effect."""
    want, outputs, calls = virtual_time.run(sound(name))
    for at in range(1, calls + 1):
        for when in ("before", "after"):
            error = Unavailable("redis", "TimeoutError")
            same(*virtual_time.run(injected(name, at, when, error)), want, outputs)


@each_case
async def test_repeat_gets_the_same_answer_and_changes_nothing(name):
    """The very record publishes everything again; the same command in another record is only answered."""
    reviewer, outputs, _ = await sound(name)
    table, given = reviewer.table, CASES[name].given
    assert await reviewer.obey(given) == outputs
    for again in (moved(given), replace(given, partition=1), replace(given, appended_at_ms=given.appended_at_ms + 1)):
        (answer,) = await reviewer.obey(again)
        assert (answer.value, answer.headers) == (outputs[-1].value, outputs[-1].headers)
    assert reviewer.table == table
    assert len(reviewer.audit.entries) == 1


async def test_repeat_does_not_undo_what_was_decided_in_between():
    reviewer = Reviewer()
    flag_id = await flagged(reviewer.ledger)
    confirm, switch = sent("flag.confirm", flag_id=flag_id), sent("settings.update", command_id="s-1", rules=SHADOW)
    first = [(await reviewer.obey(given))[-1] for given in (confirm, switch)]
    await reviewer.obey(sent("flag.override", command_id="c-2", offset=8, at_s=2000, flag_id=flag_id))
    await reviewer.obey(sent("settings.update", command_id="s-2", offset=9, rules=ENFORCED))
    table = reviewer.table
    for given, answer in zip((confirm, switch), first, strict=True):
        for again in (moved(given, 20), given):
            assert (await reviewer.obey(again))[-1].value == answer.value
    assert reviewer.table == table
    assert (await flag(reviewer.ledger)).state is FlagState.OVERRIDDEN
    assert await reviewer.ledger.switches(None) == ENFORCED


async def test_switches_carried_out_late_do_not_undo_others():
    """Sent to two partitions: one crashes on its way, the other is carried out, the first comes again."""
    for at in range(1, 10):
        reviewer = Reviewer()
        first = sent("settings.update", command_id="s-1", rules=ENFORCED)
        with suppress(Crash):
            await faulty(reviewer, Fault(at, "after", Crash())).obey(first)
        off = {"attack_severity": {"active": False}}
        await reviewer.obey(sent("settings.update", command_id="s-2", offset=8, rules=off))
        await reviewer.obey(first)
        assert await reviewer.ledger.switches(None) == {**off, **ENFORCED}


@pytest.mark.parametrize("crashed", [False, True])
async def test_same_id_with_other_content_gets_the_first_answer(crashed):
    """And finishes what the first began, whatever kind the other is of."""
    reviewer, first = Reviewer(), sent("correlation.reset", correlation_id=OTHER.key)
    await flagged(reviewer.ledger)
    want = Reviewer()
    await flagged(want.ledger)
    (answer,) = await want.obey(first)
    if crashed:
        fault = Fault(4, "after", Crash())
        with pytest.raises(Crash):
            await faulty(reviewer, fault).obey(first)
        assert fault.last == "InMemoryCommandLog.put_if_absent"
    else:
        await reviewer.obey(first)
    (other,) = await reviewer.obey(sent("flag.confirm", subject=about(ME), offset=8))
    assert other.value == answer.value
    assert reviewer.table == want.table


async def test_two_workers_on_one_command_publish_its_flags_once():
    """Sent twice to two partitions: the record whose plan was kept first publishes the events."""
    reviewer, given = Reviewer(), sent("flag.confirm", subject=about(ME))
    await three_flags(reviewer)
    first = replace(reviewer, log=Faulty(reviewer.log, fault := Fault(2, "after", Crash())))
    with pytest.raises(Crash):
        await first.obey(given)
    assert fault.last == "InMemoryCommandLog.put_if_absent"
    other = await reviewer.obey(moved(given))
    assert published(other, "flags") == []
    assert all(each.state is FlagState.CONFIRMED for each in (await reviewer.ledger.read_history(None, [ME])).flags)
    mine = await reviewer.obey(given)
    assert len(published(mine, "flags")) == 3
    assert mine[-1].value == other[-1].value
