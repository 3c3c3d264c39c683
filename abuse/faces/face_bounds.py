"""The threshold for faces, from a budget of false links, the gallery's size and the distances of strangers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

#: No fitted distribution says anything about rarer events.
LOWEST_RATE = 1e-15
#: Share of the farthest distance within which templates of two copies of one picture lie. Measured: 0.35 at most; two
#: photographs of one person 0.57 at least (`tests/bench/picture_hashes.py`).
COPIES = 0.42


class Impostors(Protocol):
    """The distribution of distances between templates of different people, measured for one model. Pure."""

    def false_match_rate(self, distance: float) -> float:
        """Share of pairs of different people at this distance or nearer, 0 to 1."""

    def distance_for(self, rate: float) -> float:
        """The distance within which this share of pairs of different people lies; inverse of `false_match_rate`."""

    def scaled(self, distance: float, share: float) -> float:
        """The distance of two templates this share as far apart; for a cosine distance not the product."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The threshold of one search: faces within `distance` are linked, `expected` strangers among them by chance."""

    distance: float
    expected: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceBounds:
    """Thresholds of one model. `farthest`: the largest distance that counts as one person, however few are compared."""

    impostors: Impostors
    farthest: float

    @property
    def copies(self) -> float:
        """The distance within which two templates are of copies of one picture."""
        return self.impostors.scaled(self.farthest, COPIES)

    @lru_cache(maxsize=64)  # noqa: B019  # one search asks for that of its gallery several times
    def of(self, gallery: int, false_links: float) -> Bound:
        """The threshold at which a search in so many faces links to a stranger with chance `false_links` or less."""
        rate = max(min(false_links / max(gallery, 1), 0.5), LOWEST_RATE)
        distance = min(self.impostors.distance_for(rate), self.farthest)
        return Bound(distance=distance, expected=gallery * self.impostors.false_match_rate(distance))
