"""IP risk: 0 to 100, with the parts that make it up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from abuse.rules.base import RiskPart

HIGHEST, MOST = 100, 2.0
#: What a shared address explains, and so what its relief may take off.
EXPLAINED_BY_SHARING = frozenset({"address_velocity", "ids_on_address", "ids_on_prefix"})


@dataclass(frozen=True, slots=True, kw_only=True)
class IpRisk:
    """`parts` add up to `score`, but for the limits of 0 and 100."""

    score: int
    parts: tuple[RiskPart, ...]


def ip_risk(parts: Iterable[RiskPart]) -> IpRisk:
    """The largest parts first; a relief takes off no more than what it explains."""
    told = [part for part in parts if part.points]
    explained = sum(part.points for part in told if part.name in EXPLAINED_BY_SHARING)
    kept = [_relieved(part, explained) if part.points < 0 else part for part in told]
    kept = sorted((part for part in kept if part.points), key=lambda part: (-part.points, part.name))
    return IpRisk(score=min(max(sum(part.points for part in kept), 0), HIGHEST), parts=tuple(kept))


def _relieved(part: RiskPart, explained: int) -> RiskPart:
    return RiskPart(name=part.name, points=max(part.points, -explained), detail=part.detail)


def graded(used: float, limit: float, points: int) -> int:
    """`points` at the limit, in proportion below and above it, at most twice; one alone is no risk."""
    return 0 if used <= 1 else round(points * min(used / limit, MOST))
