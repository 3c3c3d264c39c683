from __future__ import annotations

import pytest

from stream.bench.figures import apportion, paired_ratio, percentile, within


@pytest.mark.parametrize(
    ("values", "per_cent", "expected"),
    [
        ([], 50, None),
        ([7.0], 0, 7.0),
        ([7.0], 99, 7.0),
        ([4.0, 1.0, 3.0, 2.0], 50, 2.0),
        ([4.0, 1.0, 3.0, 2.0], 51, 3.0),
        ([4.0, 1.0, 3.0, 2.0], 100, 4.0),
        ([float(n) for n in range(1, 101)], 99, 99.0),
        ([float(n) for n in range(1, 102)], 99, 100.0),
    ],
)
def test_percentile_is_the_nearest_rank(values: list[float], per_cent: float, expected: float | None) -> None:
    assert percentile(values, per_cent) == expected


def test_a_machine_that_slows_down_between_pairs_does_not_move_the_ratio() -> None:
    floor = [100.0, 50.0, 10.0]
    assert paired_ratio([0.8 * rate for rate in floor], floor) == pytest.approx(0.8)


def test_one_disturbed_pair_does_not_move_the_ratio() -> None:
    assert paired_ratio([80.0, 8.0, 81.0], [100.0, 100.0, 100.0]) == pytest.approx(0.8)


def test_rounds_without_a_partner_are_a_bug() -> None:
    with pytest.raises(ValueError, match="zip"):
        paired_ratio([1.0], [1.0, 2.0])


def test_apportioned_parts_are_the_whole() -> None:
    parts = apportion(12.0, {"decode": 1.0, "mesh": 3.0, "gate": 0.0})
    assert parts == {"decode": 3.0, "mesh": 9.0, "gate": 0.0}


def test_nothing_measured_apportions_nothing() -> None:
    assert apportion(12.0, {"decode": 0.0}) == {"decode": 0.0}


def test_a_moment_counts_in_one_of_two_windows_that_touch() -> None:
    moments = [1.0, 2.0, 3.0]
    assert within(moments, 1.0, 2.0) == 1
    assert within(moments, 2.0, 3.0) == 1
