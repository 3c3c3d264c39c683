from __future__ import annotations

import math

import pytest

from stream.bench.schedule import Paced, Saturating, Schedule

FULL = Saturating(end=10.0, in_flight=3)
START = 100.0


def taken(schedule: Schedule, now: float, in_flight: int = 0) -> list[float]:
    moments: list[float] = []
    while (due := schedule.due(now, in_flight + len(moments))) is not None:
        moments.append(due)
    return moments


@pytest.mark.parametrize(
    ("now", "in_flight", "due"), [(0.0, 0, [0.0] * 3), (1.0, 3, []), (2.0, 2, [2.0]), (10.0, 0, [])]
)
def test_saturating_load_fills_up_what_was_answered(now: float, in_flight: int, due: list[float]) -> None:
    assert taken(FULL, now, in_flight) == due


def test_saturating_load_ends() -> None:
    assert not FULL.over(9.9)
    assert FULL.wait(9.0) == 1.0
    assert FULL.over(10.0)


def test_paced_load_sends_at_its_rate_whatever_is_in_flight() -> None:
    """A late submission counts from when it was due; the schedule ends after the last."""
    schedule = Paced(start=START, rate_per_s=4.0, seconds=1.0)
    assert taken(schedule, START, in_flight=1000) == [START]
    assert schedule.wait(START + 0.1) == START + 0.25 - (START + 0.1)
    assert taken(schedule, START + 0.2) == []
    assert taken(schedule, START + 0.6) == [START + 0.25, START + 0.5]
    assert not schedule.over(START + 5)
    assert taken(schedule, START + 5) == [START + 0.75]
    assert schedule.over(START + 5)
    assert schedule.wait(START + 5) == math.inf
    assert Paced(start=0.0, rate_per_s=0.1, seconds=1.0).over(0.0), "too low a rate for the time sends nothing"
