"""How near two faces must be to be one person's: from a budget, the gallery and the measured distances of strangers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

#: No distribution says anything of rarer things.
LOWEST_RATE = 1e-15
#: Templates of two copies lie within this share of the bound for one person. Measured: 0.35 at most; two photographs of
#: one person 0.57 at least (`tests/bench/picture_hashes.py`).
COPIES = 0.42


class Impostors(Protocol):
    """How near the templates of strangers come by chance; measured for a model."""

    def false_match_rate(self, distance: float) -> float:
        """Share of pairs of strangers at this distance or nearer."""

    def distance_for(self, rate: float) -> float:
        """Within which distance this share of strangers lies."""

    def scaled(self, distance: float, share: float) -> float:
        """The distance of two templates that lie this share as far apart, which of a cosine distance is no product."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Faces within `distance` are linked; `expected` strangers would be among them by chance."""

    distance: float
    expected: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceBounds:
    """`farthest`: the distance up to which two templates count as one person's however few are compared."""

    impostors: Impostors
    farthest: float

    @property
    def copies(self) -> float:
        """Within which distance two templates are of copies of one picture."""
        return self.impostors.scaled(self.farthest, COPIES)

    def of(self, gallery: int, false_links: float) -> Bound:
        """So that a submission compared with so many faces is linked to a stranger with this chance, or less."""
        rate = max(min(false_links / max(gallery, 1), 0.5), LOWEST_RATE)
        distance = min(self.impostors.distance_for(rate), self.farthest)
        return Bound(distance=distance, expected=gallery * self.impostors.false_match_rate(distance))
