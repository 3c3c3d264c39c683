"""Replays: detections that were recorded and are played again, when Redis no longer holds the decision they led to.

A replay while the decision is held gives the same bytes again. A later one would be decided a second time; the time of
its submission, which the record MAC covers, tells it from a detection that a worker has just made.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from abuse.event_time import DAY_MS
from stream.events.authentication.forgeries import Forgeries
from stream.events.message.messages import Detection, Output, Record

#: A submission stays a day in its topic, and up to an hour more: no worker makes a detection of one twice as old.
LEAST_MS = 2 * DAY_MS
IN_WORDS = "the detection was appended too long after its submission: it was recorded, and is played again"


class ReplayFault(StrEnum):
    """Fault of a detection that is played again; the value is a metric's label."""

    STALE = "stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replays:
    """Replays on the detections topic, told by the decide stage. `decisions_kept_ms`: how long a decision is held."""

    forgeries: Forgeries
    decisions_kept_ms: int

    def is_one(self, record: Record, detection: Detection) -> bool:
        """Whether the broker appended the detection long after the submission. A time by the sender says nothing."""
        late_ms = record.appended_at_ms - detection.appended_at_ms
        return record.dated_by_broker and late_ms > max(self.decisions_kept_ms, LEAST_MS)

    def letter(self, record: Record) -> Output:
        return self.forgeries.letter(record, ReplayFault.STALE, IN_WORDS)
