"""Decisions that Redis lacks since they have expired are no sign of an older copy: a fleet that went back to a version
that leaves no look, stood still for a weekend, and begins again."""

from __future__ import annotations

import pytest

from abuse.event_time import DAY_MS, HOUR_MS
from tests.unit.stream.maintenance.test_topic_comparison import AFTER_MS, Published, lost_answer, lost_decision

#: Publications since a look of three days ago, how long decisions are kept, and whether they tell an older copy.
CASES = {
    "expired": (lost_decision, 2 * DAY_MS, False),
    "about to expire": (lost_decision, 3 * DAY_MS - AFTER_MS + 60_000, False),
    "would still be held": (lost_decision, 3 * DAY_MS + HOUR_MS, True),
    "answers are held for longer": (lost_answer, 2 * DAY_MS, True),
}


@pytest.mark.parametrize("case", CASES)
async def test_expired_decisions_tell_nothing(case: str) -> None:
    publish, kept_ms, is_older = CASES[case]
    topics = Published(100 * DAY_MS, kept_ms)
    await publish(topics)
    assert await topics.comparison().is_older(topics.look_ms + AFTER_MS - 1) is is_older
