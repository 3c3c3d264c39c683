"""Event time as text and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

#: Milliseconds of a second, an hour, a day.
MS = 1000
HOUR_MS = 3600 * MS
DAY_MS = 24 * HOUR_MS

#: Times remembered: of one cluster the same few are written and read with each submission.
_REMEMBERED = 4096
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(_REMEMBERED)
def iso8601(at_ms: int) -> str:
    """UTC milliseconds as ISO 8601 with a Z, for example 2026-01-02T03:04:05.678Z."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@lru_cache(_REMEMBERED)
def milliseconds(text: str) -> int:
    """UTC milliseconds of an ISO 8601 text with a time zone; raises ValueError for any other text."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)
