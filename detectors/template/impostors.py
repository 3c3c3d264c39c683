"""Impostor distances: how far apart templates of two people lie, and how often chance makes two people look alike.

Model: the squared Euclidean distance of two strangers' templates is a scaled chi-square,
d^2 / (2 s^2) ~ chi2(k): as if a template were k independent normal numbers of standard deviation s (J. Daugman
counts "degrees of freedom" of iris codes in the same way). Two moments of measured distances give k and s. The
tail it extrapolates to is an assumption: see how many pairs stand behind a fit before trusting small rates.

Pure mathematics: no settings, no models, standard library only.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

_MOST_TERMS = 10_000
_SMALLEST = 1e-300
#: Rates below are not asked for: nothing measured reaches there.
LOWEST_RATE = 1e-15


class TemplateDistance(StrEnum):
    """Kind of distance between two templates; smaller is more alike."""

    EUCLIDEAN = "euclidean"
    #: 1 - cosine similarity, in [0, 2].
    COSINE = "cosine"

    def squared(self, distance: float) -> float:
        """The squared Euclidean distance this one stands for (of unit vectors, where it is a cosine distance)."""
        return distance * distance if self is TemplateDistance.EUCLIDEAN else 2.0 * distance

    def of_squared(self, squared: float) -> float:
        """The inverse of `squared`."""
        return math.sqrt(squared) if self is TemplateDistance.EUCLIDEAN else squared / 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpostorModel:
    """Distribution of impostor distances. `dof` is k, `scale` is s; rates are in [0, 1], distances in the unit of
    `distance`."""

    dof: float
    scale: float
    distance: TemplateDistance = TemplateDistance.EUCLIDEAN

    def __post_init__(self) -> None:
        if not (0 < self.dof < math.inf and 0 < self.scale < math.inf):
            raise ValueError("dof and scale must be positive numbers")

    def false_match_rate(self, distance: float) -> float:
        """Share of pairs of strangers at this distance or nearer."""
        if not distance >= 0:  # also refuses NaN
            raise ValueError("a distance is a number from 0 on")
        return gamma_p(self.dof / 2, self.distance.squared(distance) / (4 * self.scale * self.scale))

    def scaled(self, distance: float, share: float) -> float:
        """The distance of two templates that lie this share as far apart as two at `distance`."""
        return self.distance.of_squared(share * share * self.distance.squared(distance))

    def distance_for(self, rate: float) -> float:
        """The distance within which this share of strangers lies; the inverse of `false_match_rate`."""
        if not LOWEST_RATE <= rate < 1:
            raise ValueError(f"a rate lies between {LOWEST_RATE} and 1")
        return self.distance.of_squared(4 * self.scale * self.scale * inverse_gamma_p(self.dof / 2, rate))


def fit(distances: Iterable[float], distance: TemplateDistance = TemplateDistance.EUCLIDEAN) -> ImpostorModel:
    """The model whose mean and variance of squared distances are the measured ones. Needs two that differ."""
    squared = [distance.squared(each) for each in distances]
    if len(squared) < 2:
        raise ValueError("at least two impostor distances are needed")
    mean, variance = statistics.fmean(squared), statistics.variance(squared)
    if not variance > 0:
        raise ValueError("the impostor distances are all the same")
    return ImpostorModel(dof=2 * mean * mean / variance, scale=math.sqrt(variance / (4 * mean)), distance=distance)


def gamma_p(a: float, x: float) -> float:
    """The regularised lower incomplete gamma function P(a, x): series below the mean, continued fraction above
    (Numerical Recipes, 6.2). Right to about 1e-12, relative, also where P is tiny."""
    if x <= 0:
        return 0.0
    return _series(a, x) if x < a + 1 else 1.0 - _fraction(a, x)


def inverse_gamma_p(a: float, p: float) -> float:
    """The x with P(a, x) = p for 0 < p < 1: Wilson and Hilferty's cube as the start, then Newton's steps on
    log P, kept between bounds that are known."""
    low, high = 0.0, math.inf
    x = _wilson_hilferty(a, p)
    for _ in range(200):
        reached = gamma_p(a, x)
        if reached < p:
            low = x
        else:
            high = x
        density = math.exp((a - 1) * math.log(x) - x - math.lgamma(a))
        step = reached * math.log(max(reached, _SMALLEST) / p) / max(density, _SMALLEST)
        after = x - step
        if not low < after < high:
            after = (low + high) / 2 if high < math.inf else 2 * x
        if abs(after - x) <= 1e-14 * x:
            return after
        x = after
    return x


def _wilson_hilferty(a: float, p: float) -> float:
    """P(a, x) = p where (x / a) ** (1/3) is taken as normal with mean 1 - 1/(9a), variance 1/(9a)."""
    z = statistics.NormalDist().inv_cdf(p)
    root = 1 - 1 / (9 * a) + z / (3 * math.sqrt(a))
    if root > 0.1:
        return float(a * root**3)
    return math.exp((math.log(p) + math.lgamma(a + 1)) / a)  # P(a, x) is about x**a / gamma(a + 1) near 0


def _series(a: float, x: float) -> float:
    term = total = 1.0 / a
    for n in range(1, _MOST_TERMS):
        term *= x / (a + n)
        total += term
        if term < total * 1e-17:
            break
    return total * math.exp(a * math.log(x) - x - math.lgamma(a))


def _fraction(a: float, x: float) -> float:
    """Q(a, x) = 1 - P(a, x) by Lentz's method."""
    b = x + 1 - a
    c, d = 1 / _SMALLEST, 1 / b
    value = d
    for n in range(1, _MOST_TERMS):
        numerator = -n * (n - a)
        b += 2
        d = 1 / _away_from_zero(numerator * d + b)
        c = _away_from_zero(b + numerator / c)
        factor = c * d
        value *= factor
        if abs(factor - 1) < 1e-16:
            break
    return value * math.exp(a * math.log(x) - x - math.lgamma(a))


def _away_from_zero(number: float) -> float:
    return number if abs(number) > _SMALLEST else _SMALLEST
