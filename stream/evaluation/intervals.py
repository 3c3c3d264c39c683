"""Intervals: Clopper-Pearson limits of a rate, from the binomial distribution itself. Pure.

C. J. Clopper and E. S. Pearson, Biometrika 26 (1934): the limits are quantiles of beta distributions. They are found by
bisection on the regularised incomplete beta function, which is a continued fraction (Abramowitz and Stegun, 26.5.8).
"""

from __future__ import annotations

from math import exp, lgamma, log, log1p

CONFIDENCE_LEVEL = 0.95
#: Bisections of [0, 1]: the limit is known to 2^-60.
_HALVINGS = 60
_MOST_TERMS, _CLOSE_ENOUGH, _TINY = 10_000, 1e-15, 1e-300


def clopper_pearson(count: int, of: int) -> tuple[float, float]:
    """Lower and upper limit, each in [0, 1], of the rate behind `count` of `of` independent presentations."""
    if not 0 <= count <= of or of < 1:
        raise ValueError(f"{count} of {of} is no count")
    tail = (1.0 - CONFIDENCE_LEVEL) / 2.0
    low = 0.0 if count == 0 else _quantile(tail, count, of - count + 1)
    high = 1.0 if count == of else _quantile(1.0 - tail, count + 1, of - count)
    return low, high


def _quantile(probability: float, a: int, b: int) -> float:
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        if incomplete_beta(middle, a, b) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def incomplete_beta(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function: the share of a beta distribution's mass below `x`."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    if x < (a + 1.0) / (a + b + 2.0):  # where the fraction converges fast
        return front * _fraction(x, a, b) / a
    return 1.0 - front * _fraction(1.0 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """Continued fraction of the incomplete beta function, by Lentz's method."""
    ratio = 1.0 / _not_zero(1.0 + _coefficient(1, x, a, b))
    value, growth = ratio, 1.0
    for term in range(2, _MOST_TERMS):
        coefficient = _coefficient(term, x, a, b)
        ratio = 1.0 / _not_zero(1.0 + coefficient * ratio)
        growth = _not_zero(1.0 + coefficient / growth)
        value *= ratio * growth
        if abs(ratio * growth - 1.0) < _CLOSE_ENOUGH:
            break
    return value


def _coefficient(term: int, x: float, a: float, b: float) -> float:
    m, odd = divmod(term, 2)
    if odd:
        return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
    return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
