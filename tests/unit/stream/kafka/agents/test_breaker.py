"""Circuit breaker: opens on a run or a share of failures, and on nothing else."""

from __future__ import annotations

import pytest

from config.groups.processing import DeliverySettings
from stream.events.message.messages import Fault
from stream.kafka.agents.breaker import ENOUGH, Breaker, BreakerOpen

SETTINGS = DeliverySettings(breaker_failures=3, breaker_dead_letters=5, breaker_share=0.5)
FAILED, LETTER, OK = {Fault.INTERNAL}, {Fault.DEAD_LETTER}, set[Fault]()


@pytest.mark.parametrize(
    ("records", "opens_at"),
    [
        ([FAILED, FAILED, FAILED], 3),
        ([FAILED, FAILED, OK, FAILED, FAILED], None),
        ([LETTER] * 5, 5),
        ([LETTER, LETTER, LETTER, LETTER, OK, LETTER, LETTER], None),
        ([FAILED | LETTER, FAILED | LETTER, FAILED | LETTER], 3),
        ([LETTER, FAILED, LETTER, FAILED, LETTER], None),
        ([OK, FAILED, FAILED] * (ENOUGH // 3 + 1), ENOUGH),
        ([OK, OK, FAILED] * ENOUGH, None),
    ],
    ids=["run", "run broken", "letters", "letters broken", "both", "neither in a row", "share", "small share"],
)
def test_opens(records: list[set[Fault]], opens_at: int | None) -> None:
    breaker, seen = Breaker(SETTINGS), 0
    try:
        for faults in records:
            seen += 1
            breaker.note(faults)
    except BreakerOpen:
        assert seen == opens_at
    else:
        assert opens_at is None


def test_zero_never_opens() -> None:
    breaker = Breaker(DeliverySettings(breaker_failures=0, breaker_dead_letters=0, breaker_share=1))
    for _ in range(3 * ENOUGH):
        breaker.note(FAILED | LETTER)


def test_poison_where_asked_for() -> None:
    """A record of a stranger in between breaks no run of poison; one that can be read does."""
    poison, forged = {Fault.POISON, Fault.DEAD_LETTER}, {Fault.FORGED}
    Breaker(SETTINGS).note(poison)
    breaker = Breaker(DeliverySettings(breaker_poison=3))
    for faults in (poison, poison, OK, poison, forged, poison):
        breaker.note(faults)
    with pytest.raises(BreakerOpen, match="3 records in a row ended as poison"):
        breaker.note(poison)
