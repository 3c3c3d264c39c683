"""Windows slide over event time: what is in them at their very edges, and which of them an attempt is in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abuse.ledger.windows import Window, keep, window_at, windows_with
from abuse.observation import Finding
from tests.unit.abuse.builders import at_ms, attempts, seen, series

WINDOW_S = 10


def numbers(window):
    return [int(attempt.submission_id.removeprefix("sub-")) for attempt in window]


@pytest.mark.parametrize(("at_s", "inside"), [(10, [2, 3, 4]), (9.999, [1, 2, 3]), (-1, []), (30, [])])
def test_window_begins_after_its_length(at_s, inside):
    assert numbers(window_at(at_ms(at_s), attempts(series([0, 0.001, 5, 10])), WINDOW_S)) == inside


@pytest.mark.parametrize(
    ("times_s", "at_s", "windows"),
    [
        ([0, 5, 9], 9, [[1, 2, 3]]),
        ([0, 5, 9.999, 10, 14], 0, [[1], [1, 2], [1, 2, 3]]),
        ([3, 20], 1, [[1]]),
        ([3, 20], 4, []),
        ([1, 1, 1], 1, [[1, 2, 3]]),
    ],
    ids=["the newest", "a late attempt", "an absent attempt", "none", "one millisecond"],
)
def test_windows_of_an_attempt(times_s, at_s, windows):
    found = list(windows_with(at_ms(at_s), attempts(series(times_s)), WINDOW_S))
    assert [numbers(window.attempts) for window in found] == windows
    assert [window.end_ms for window in found] == [window.attempts[-1].at_ms for window in found]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=20), st.integers(1, 15))
def test_windows_as_brute_force(times, window_s):
    held = attempts(series(times))
    for at in set(times):
        found = {window.end_ms: set(numbers(window.attempts)) for window in windows_with(at_ms(at), held, window_s)}
        expected = {
            at_ms(end): {n for n, each in enumerate(times, start=1) if end - window_s < each <= end}
            for end in times
            if end - window_s < at <= end
        }
        assert found == expected


def test_figures_of_a_window():
    window = Window(attempts([seen(1, who=1), seen(2, who=1, finding=Finding.LIVE), seen(3, who=2), seen(4, who=3)]))
    assert (window.ids, window.spoofs, window.spoof_ratio) == (3, 3, pytest.approx(0.75))


def test_selection_keeps_the_order():
    assert numbers(keep(attempts(series([0, 1, 2, 3])), lambda attempt: attempt.submission_id != "sub-2")) == [1, 3, 4]
