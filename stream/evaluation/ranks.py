"""Ranks: how well one number tells bona fide presentations from attacks, whatever its scale. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable


def auc(bona_fide: Iterable[float], attacks: Iterable[float]) -> float | None:
    """Area under the ROC curve: the share of pairs in which the bona fide presentation has the higher number, ties
    counting half (Mann and Whitney, 1947). 1 tells all apart, 0.5 none; below 0.5 attacks look more live. None unless
    there are both."""
    genuine, attacking = list(bona_fide), sorted(attacks)
    if not genuine or not attacking:
        return None
    twice = sum(bisect_left(attacking, each) + bisect_right(attacking, each) for each in genuine)
    return twice / 2 / (len(genuine) * len(attacking))
