"""Margins: bounds that presentations of a further source may be expected to pass too. Pure.

A quantile of pictures at hand is the best guess for pictures like these. How far the quantile moves when a source is
left out tells how far a further source may move it: the jackknife's standard error over sources (Tukey, 1958; Wolter,
Introduction to Variance Estimation, 2007, chapter 4). A bound lies `MARGIN` of these below its quantile.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import inf, isfinite, sqrt

from stream.evaluation.operating import threshold_at

#: Standard errors between bound and quantile. With a third of the confidence each for networks, texture and spectrum
#: (docs/DETECTION.md): of 60 bona fide pictures of sources left out 10 are refused at 0, 8 at half an error, 4 at 1 and
#: at 1.5; of 64 masks 16, 18, 18 and 18 pass.
MARGIN = 1.0


def cautious_bound(most_bpcer: float, by_source: Mapping[str, Sequence[float]], otherwise: float) -> float:
    """Bound for values of bona fide presentations by source, of which `most_bpcer` may be below. Where more than that
    are minus infinity the bound is for the others, and `otherwise` where no value is finite. Plus infinity is a
    presentation that passes every bound."""
    bound = _quantile(most_bpcer, [value for values in by_source.values() for value in values])
    if bound is None or not isfinite(bound):
        return otherwise
    without = [
        _quantile(most_bpcer, [value for other, values in by_source.items() if other != source for value in values])
        for source in by_source
    ]
    return bound - MARGIN * _jackknife_error([value for value in without if value is not None and isfinite(value)])


def _quantile(most_bpcer: float, values: Collection[float]) -> float | None:
    found = threshold_at(most_bpcer, values)
    return min((value for value in values if value > -inf), default=None) if found is None else found


def _jackknife_error(estimates: Sequence[float]) -> float:
    """Standard error of an estimate by the estimates that leave a source out; 0 for fewer than two."""
    if len(estimates) < 2:
        return 0.0
    mean = sum(estimates) / len(estimates)
    return sqrt(sum((each - mean) ** 2 for each in estimates) * (len(estimates) - 1) / len(estimates))
