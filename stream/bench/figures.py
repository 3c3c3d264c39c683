"""Arithmetic of the report: percentiles, paired ratios, shares. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence


def percentile(values: Iterable[float], per_cent: float) -> float | None:
    """Nearest rank: the smallest value that `per_cent` of all values do not exceed; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[max(math.ceil(len(ordered) * per_cent / 100), 1) - 1]


def paired_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median ratio of rounds that ran next to each other: the machine's drift cancels out in each pair."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def apportion(total: float, weights: Mapping[str, float]) -> dict[str, float]:
    """Split `total` by weight; everything is 0 if no weight is above 0."""
    whole = sum(weights.values())
    return {name: total * weight / whole if whole > 0 else 0.0 for name, weight in weights.items()}


def within(moments: Iterable[float], start: float, end: float) -> int:
    """How many moments lie in (start, end]."""
    return sum(start < moment <= end for moment in moments)
