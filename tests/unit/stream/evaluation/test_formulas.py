"""Formulas of `liveness evaluate` against tables worked by hand."""

from __future__ import annotations

from math import comb

import pytest

from stream.evaluation.intervals import clopper_pearson
from stream.evaluation.operating import apcer_at, bpcer_at, threshold_at, trade_off
from stream.evaluation.rates import ErrorRate, apcer, auc, bpcer, non_response_rate
from stream.pipeline.verdict.verdict import VerdictKind

LIVE, SPOOF, INCONCLUSIVE = VerdictKind.LIVE, VerdictKind.SPOOF, VerdictKind.INCONCLUSIVE

#: Four prints: two rejected, one let through, one for a reviewer. Five people: three accepted.
PRINTS = [SPOOF, LIVE, INCONCLUSIVE, SPOOF]
PEOPLE = [LIVE, LIVE, INCONCLUSIVE, SPOOF, LIVE]

#: Ten people and six attacks by confidence; 0.70 is of both.
BONA_FIDE = [0.55, 0.60, 0.66, 0.70, 0.72, 0.74, 0.76, 0.80, 0.82, 0.90]
ATTACKS = [0.30, 0.40, 0.50, 0.58, 0.70, 0.75]


def test_rates_of_verdicts() -> None:
    assert apcer(PRINTS) == ErrorRate(1, 4)
    assert bpcer(PEOPLE) == ErrorRate(2, 5)
    assert non_response_rate(responses=4, presentations=5) == ErrorRate(1, 5)
    assert (apcer(PRINTS).value, bpcer(PEOPLE).value) == (0.25, 0.4)
    assert (apcer([]).value, apcer([]).interval) == (None, None)


@pytest.mark.parametrize(
    ("threshold", "refused", "let_through"),
    [
        (0.0, 0, 6),
        (0.55, 0, 3),
        (0.5501, 1, 3),
        (0.60, 1, 2),
        (0.70, 3, 2),
        (0.7001, 4, 1),
        (0.76, 6, 0),
        (0.91, 10, 0),
    ],
)
def test_rates_at_a_threshold(threshold: float, refused: int, let_through: int) -> None:
    assert bpcer_at(threshold, BONA_FIDE) == ErrorRate(refused, 10)
    assert apcer_at(threshold, ATTACKS) == ErrorRate(let_through, 6)


@pytest.mark.parametrize(
    ("bona_fide", "most_bpcer", "threshold"),
    [
        (BONA_FIDE, 0.01, 0.55),  # of ten people nobody may be refused
        (BONA_FIDE, 0.10, 0.60),  # one may
        (BONA_FIDE, 0.30, 0.70),  # three
        ([number / 100 for number in range(100)], 0.29, 0.29),  # 0.29 * 100 is 28.999... in floating point
        (BONA_FIDE, 0.0, 0.55),
        ([0.5, 0.5, 0.5, 0.9], 0.25, 0.5),  # a tie is refused as a whole or not at all
        ([0.4, 0.5, 0.5, 0.9], 0.25, 0.5),
        ([0.6], 0.10, 0.6),
        ([], 0.10, None),
    ],
)
def test_threshold_for_a_bpcer(bona_fide: list[float], most_bpcer: float, threshold: float | None) -> None:
    assert threshold_at(most_bpcer, bona_fide[::-1]) == threshold
    if threshold is not None:
        assert (bpcer_at(threshold, bona_fide).value or 0) <= most_bpcer
        higher = min((each for each in bona_fide if each > threshold), default=1.1)
        assert (bpcer_at(higher, bona_fide).value or 0) > most_bpcer


def test_trade_off() -> None:
    assert trade_off([0.6, 0.8], [0.2, 0.6]) == [(0.2, 0.0, 1.0), (0.6, 0.0, 0.5), (0.8, 0.5, 0.0)]
    assert trade_off([], [0.2]) == trade_off([0.2], []) == []


@pytest.mark.parametrize(
    ("bona_fide", "attacks", "area"),
    [
        ([0.9, 0.8], [0.1, 0.2], 1.0),
        ([0.1, 0.2], [0.9, 0.8], 0.0),
        ([0.5, 0.5], [0.5], 0.5),
        # pairs won: 0.6 beats 0.5 and ties with 0.6 (1.5), 0.4 beats none, 0.7 beats both (2): 3.5 of 6
        ([0.6, 0.4, 0.7], [0.5, 0.6], 3.5 / 6),
        ([], [0.5], None),
        ([0.5], [], None),
    ],
)
def test_auc(bona_fide: list[float], attacks: list[float], area: float | None) -> None:
    assert auc(bona_fide, attacks) == area


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        # none and all have closed forms: 1 - 0.025^(1/n), 0.025^(1/n)
        (0, 50, 0.0, 1 - 0.025 ** (1 / 50)),
        (5, 5, 0.025 ** (1 / 5), 1.0),
        (0, 1, 0.0, 0.975),
        # published tables of exact binomial limits
        (2, 10, 0.0252, 0.5561),
        (5, 10, 0.1871, 0.8129),
        (1, 20, 0.0013, 0.2487),
    ],
)
def test_clopper_pearson(count: int, of: int, low: float, high: float) -> None:
    assert clopper_pearson(count, of) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("count", "of"), [(1, 3), (7, 50), (199, 400), (399, 400)])
def test_limits_leave_the_tails(count: int, of: int) -> None:
    """Limits are defined by what the binomial distribution leaves beyond them."""
    low, high = clopper_pearson(count, of)
    at_least = sum(comb(of, k) * low**k * (1 - low) ** (of - k) for k in range(count, of + 1))
    at_most = sum(comb(of, k) * high**k * (1 - high) ** (of - k) for k in range(count + 1))
    assert (at_least, at_most) == pytest.approx((0.025, 0.025), rel=1e-6)


def test_no_count() -> None:
    for count, of in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="no count"):
            clopper_pearson(count, of)
