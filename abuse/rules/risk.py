"""Points of IP risk for a count against its limit."""

from __future__ import annotations

MOST = 2.0


def graded(used: float, limit: float, points: int) -> int:
    """`points` at the limit, in proportion below and above it, at most twice; one alone is no risk."""
    return 0 if used <= 1 else round(points * min(used / limit, MOST))
