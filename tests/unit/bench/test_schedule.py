from __future__ import annotations

import math

from stream.bench.schedule import Paced, Saturating, Schedule


def taken(schedule: Schedule, now: float, in_flight: int = 0) -> list[float]:
    """Everything due at `now`, each adding one in flight."""
    moments: list[float] = []
    while (due := schedule.due(now, in_flight + len(moments))) is not None:
        moments.append(due)
    return moments


def test_a_saturating_load_fills_up_what_was_answered() -> None:
    schedule = Saturating(end=10.0, in_flight=3)
    assert taken(schedule, 0.0) == [0.0, 0.0, 0.0]
    assert taken(schedule, 1.0, in_flight=3) == []
    assert taken(schedule, 2.0, in_flight=2) == [2.0]


def test_a_saturating_load_ends() -> None:
    schedule = Saturating(end=10.0, in_flight=3)
    assert not schedule.over(9.9)
    assert schedule.wait(9.0) == 1.0
    assert schedule.over(10.0)
    assert taken(schedule, 10.0) == []


def test_a_paced_load_sends_at_its_rate_whatever_is_in_flight() -> None:
    schedule = Paced(start=100.0, rate_per_s=4.0, seconds=1.0)
    assert taken(schedule, 100.0, in_flight=1000) == [100.0]
    assert schedule.wait(100.1) == 100.25 - 100.1
    assert taken(schedule, 100.2) == []
    assert taken(schedule, 100.25) == [100.25]


def test_what_is_sent_late_still_counts_from_when_it_was_due() -> None:
    schedule = Paced(start=0.0, rate_per_s=4.0, seconds=1.0)
    assert taken(schedule, 0.6) == [0.0, 0.25, 0.5]


def test_a_paced_load_ends_after_its_last_submission() -> None:
    schedule = Paced(start=0.0, rate_per_s=4.0, seconds=1.0)
    assert taken(schedule, 0.5) == [0.0, 0.25, 0.5]
    assert not schedule.over(5.0)
    assert taken(schedule, 5.0) == [0.75]
    assert schedule.over(5.0)
    assert schedule.wait(5.0) == math.inf


def test_a_rate_too_low_for_the_time_sends_nothing() -> None:
    assert Paced(start=0.0, rate_per_s=0.1, seconds=1.0).over(0.0)
