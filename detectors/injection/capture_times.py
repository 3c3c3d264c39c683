"""Capture times: the camera's time in EXIF against the times of the submission."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from detectors.contract import Indication

#: A camera's time has no zone (14 hours either way), and its clock is set by hand.
TOLERANCE = timedelta(days=2)
_EXIF_TIME = "%Y:%m:%d %H:%M:%S"
#: Form in which an analysis has the time, shorter than any zone could make it.
_ISO_SECONDS = 19


def taken_at(exif_time: str) -> str:
    """Local time of an EXIF text in ISO 8601 without a zone, empty for one that is no time."""
    try:
        return datetime.strptime(exif_time[:_ISO_SECONDS], _EXIF_TIME).isoformat()
    except ValueError:
        return ""


def capture_times(taken: str, *, received_ms: int, captured_at: str | None) -> Iterator[Indication]:
    """Indications of a picture `taken` (as `taken_at` gives it) that came in at `received_ms` (UTC) and was captured at
    `captured_at` by its publisher."""
    if not taken:
        return
    moment = datetime.fromisoformat(taken).replace(tzinfo=UTC)
    if moment - datetime.fromtimestamp(received_ms / 1000, UTC) > TOLERANCE:
        detail = "The metadata say that the picture was taken days after it was sent."
        yield Indication(code="taken_in_future", detail=detail)
    claimed = _moment(captured_at)
    if claimed is not None and abs(moment - claimed) > TOLERANCE:
        days = abs(moment - claimed).days
        detail = f"The metadata say that the picture was taken {days} days away from the capture time it was sent with."
        yield Indication(code="taken_at_other_time", detail=detail)


def _moment(captured_at: str | None) -> datetime | None:
    if captured_at is None:
        return None
    moment = datetime.fromisoformat(captured_at)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
