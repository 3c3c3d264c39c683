"""Error rates of attack detection as ISO/IEC 30107-3 defines them, of verdicts; and the area under a ROC curve. Pure.

LIVE is the classification as bona fide; SPOOF and INCONCLUSIVE are not, for nobody is let through with either. A
non-response (a presentation without a confidence) is no classification: it counts in APNRR and BPNRR alone.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from stream.evaluation.intervals import clopper_pearson
from stream.pipeline.verdict.verdict import VerdictKind


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """Error rate: `count` of `of` presentations; without presentations there is no rate."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Limits at 95 % (Clopper-Pearson), as if all presentations were independent."""
        return clopper_pearson(self.count, self.of) if self.of else None


def apcer(classified: Collection[VerdictKind]) -> ErrorRate:
    """APCER of the attacks of one PAI species: share that is classified as bona fide."""
    return ErrorRate(sum(kind is VerdictKind.LIVE for kind in classified), len(classified))


def bpcer(classified: Collection[VerdictKind]) -> ErrorRate:
    """BPCER of bona fide presentations: share that is not classified as bona fide."""
    return ErrorRate(sum(kind is not VerdictKind.LIVE for kind in classified), len(classified))


def non_response_rate(responses: int, presentations: int) -> ErrorRate:
    """APNRR of the attacks of one PAI species, or BPNRR: share for which no result was computed."""
    return ErrorRate(presentations - responses, presentations)


def auc(bona_fide: Iterable[float], attacks: Iterable[float]) -> float | None:
    """Area under the ROC curve: the share of pairs in which the bona fide presentation has the higher number, ties
    counting half (Mann and Whitney, 1947). 1 tells all apart, 0.5 none; below 0.5 attacks look more live. None unless
    there are both."""
    genuine, attacking = list(bona_fide), sorted(attacks)
    if not genuine or not attacking:
        return None
    twice = sum(bisect_left(attacking, each) + bisect_right(attacking, each) for each in genuine)
    return twice / 2 / (len(genuine) * len(attacking))
