"""Windows slide over event time: what is in them at their very edges, and which of them an attempt is in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abuse.ledger.windows import Window, keep, window_at, windows_with
from abuse.observation import Finding
from tests.unit.abuse.builders import at_ms, attempts, seen, series

WINDOW_S = 10


def names(window):
    return [attempt.submission_id for attempt in window]


def test_a_window_begins_after_its_length_before_its_end():
    held = attempts(series([0, 0.001, 5, 10]))
    assert names(window_at(at_ms(10), held, WINDOW_S)) == ["sub-2", "sub-3", "sub-4"]
    assert names(window_at(at_ms(9.999), held, WINDOW_S)) == ["sub-1", "sub-2", "sub-3"]
    assert window_at(at_ms(-1), held, WINDOW_S) == ()
    assert window_at(at_ms(30), held, WINDOW_S) == ()


def test_the_newest_attempt_is_in_one_window():
    held = attempts(series([0, 5, 9]))
    (window,) = windows_with(at_ms(9), held, WINDOW_S)
    assert names(window.attempts) == ["sub-1", "sub-2", "sub-3"]
    assert window.end_ms == at_ms(9)


def test_a_late_attempt_is_in_every_window_that_ends_within_its_length():
    held = attempts(series([0, 5, 9.999, 10, 14]))
    windows = [names(window.attempts) for window in windows_with(at_ms(0), held, WINDOW_S)]
    assert windows == [["sub-1"], ["sub-1", "sub-2"], ["sub-1", "sub-2", "sub-3"]]


def test_an_attempt_that_is_not_there_still_has_the_windows_it_would_be_in():
    held = attempts(series([3, 20]))
    assert [names(window.attempts) for window in windows_with(at_ms(1), held, WINDOW_S)] == [["sub-1"]]
    assert list(windows_with(at_ms(4), held, WINDOW_S)) == []


def test_attempts_of_one_millisecond_share_a_window():
    held = attempts(series([1, 1, 1]))
    (window,) = windows_with(at_ms(1), held, WINDOW_S)
    assert len(window.attempts) == 3


@given(st.lists(st.integers(0, 40), min_size=1, max_size=20), st.integers(1, 15))
def test_windows_are_those_a_plain_search_finds(times, window_s):
    held = attempts(series(times))
    for at in set(times):
        found = {window.end_ms: set(names(window.attempts)) for window in windows_with(at_ms(at), held, window_s)}
        expected = {
            at_ms(end): {f"sub-{n}" for n, each in enumerate(times, start=1) if end - window_s < each <= end}
            for end in times
            if end - window_s < at <= end
        }
        assert found == expected


def test_figures_of_a_window():
    window = Window(attempts([seen(1, who=1), seen(2, who=1, finding=Finding.LIVE), seen(3, who=2), seen(4, who=3)]))
    assert (window.ids, window.spoofs, window.spoof_ratio) == (3, 3, pytest.approx(0.75))


def test_a_selection_keeps_the_order():
    held = attempts(series([0, 1, 2, 3]))
    assert names(keep(held, lambda attempt: attempt.submission_id != "sub-2")) == ["sub-1", "sub-3", "sub-4"]
