"""Bounds of event times: what a foreign clock or a stranger may write, and arithmetic still bears."""

from __future__ import annotations

#: 2200-01-01 UTC in milliseconds. Lifetimes are added to event times, and dates have four digits.
LATEST_MS = 7_258_118_400_000


def bounded(at_ms: int) -> int:
    """Time of a record within the bounds; a missing time is -1 and becomes 0."""
    return min(max(at_ms, 0), LATEST_MS)
