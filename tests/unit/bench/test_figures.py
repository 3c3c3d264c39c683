from __future__ import annotations

import pytest

from stream.bench.figures import paired_ratio, percentile

HUNDRED = [float(n) for n in range(1, 101)]


@pytest.mark.parametrize(
    ("values", "per_cent", "expected"),
    [
        ([], 50, None),
        ([7.0], 0, 7.0),
        ([7.0], 99, 7.0),
        *(([4.0, 1.0, 3.0, 2.0], *case) for case in ((50, 2.0), (51, 3.0), (100, 4.0))),
        (HUNDRED, 99, 99.0),
        ([*HUNDRED, 101.0], 99, 100.0),
    ],
)
def test_percentile_is_the_nearest_rank(values: list[float], per_cent: float, expected: float | None) -> None:
    assert percentile(values, per_cent) == expected


@pytest.mark.parametrize(
    ("above", "floor"),
    [
        pytest.param([80.0, 40.0, 8.0], [100.0, 50.0, 10.0], id="the machine slows down"),
        pytest.param([80.0, 8.0, 81.0], [100.0, 100.0, 100.0], id="one disturbed pair"),
    ],
)
def test_drift_does_not_move_the_ratio(above: list[float], floor: list[float]) -> None:
    assert paired_ratio(above, floor) == pytest.approx(0.8)
    with pytest.raises(ValueError, match="zip"):  # rounds without a partner are a bug
        paired_ratio(above, floor[:-1])
