"""Operating points: error rates at any threshold of the confidence, of which a policy chooses one. Pure.

At threshold t a presentation of confidence t or more is classified as bona fide. One that a floor or gate holds back
is so at no threshold, and stands here with a confidence of minus infinity.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from math import floor, inf

from stream.evaluation.rates import ErrorRate

#: BPCER at which APCER is reported (the standard names 5 %: BPCER20; 1 and 10 % are BPCER100 and BPCER10).
FIXED_BPCER = (0.01, 0.05, 0.10)
#: Products such as 0.29 * 100 miss their whole number by less than this.
_ROUNDING = 1e-9


def bpcer_at(threshold: float, bona_fide: Collection[float]) -> ErrorRate:
    return ErrorRate(sum(confidence < threshold for confidence in bona_fide), len(bona_fide))


def apcer_at(threshold: float, attacks: Collection[float]) -> ErrorRate:
    """APCER of the attacks of one PAI species at a threshold."""
    return ErrorRate(sum(confidence >= threshold for confidence in attacks), len(attacks))


def threshold_at(most_bpcer: float, bona_fide: Collection[float]) -> float | None:
    """The highest threshold whose BPCER is no more than `most_bpcer` (below 1): attacks find no stricter one at that
    cost. None without bona fide presentations, and where more than that are held back at every threshold."""
    ordered = sorted(bona_fide)
    found = ordered[floor(most_bpcer * len(ordered) + _ROUNDING)] if ordered else -inf
    return None if found == -inf else found


def trade_off(bona_fide: Iterable[float], attacks: Iterable[float]) -> list[tuple[float, float, float]]:
    """Threshold, BPCER and APCER at every confidence that occurs, rising: the points of a DET plot. Empty unless there
    are both."""
    genuine, attacking = sorted(bona_fide), sorted(attacks)
    if not genuine or not attacking:
        return []
    return [
        (threshold, _below(threshold, genuine), 1.0 - _below(threshold, attacking))
        for threshold in sorted({*genuine, *attacking} - {-inf})
    ]


def _below(threshold: float, ordered: Sequence[float]) -> float:
    return bisect_left(ordered, threshold) / len(ordered)
