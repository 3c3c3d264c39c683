"""Forgeries: records by a writer who can't prove a right to write them; set aside, counted, said, never answered."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

import structlog

from stream.events.message.messages import Fault, Output, Record
from stream.events.topics import Topic
from stream.events.wire.dead_letter import DeadLetters
from stream.runtime import metrics

log = structlog.get_logger()

#: Reason of the dead letter.
NOT_AUTHENTIC = "NOT_AUTHENTIC"
#: A flood is said once in so long, with its number.
SAY_EVERY_S = 10.0


class Forgeries:
    """Forgeries on one topic, told by the stage that reads the topic. `monotonic` is in seconds."""

    def __init__(
        self, topic: Topic, dead_letters: DeadLetters, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._topic, self._dead_letters, self._monotonic = topic, dead_letters, monotonic
        self._said_at: float | None = None
        self._unsaid: Counter[str] = Counter()

    def letter(self, record: Record, why: StrEnum, message: str) -> Output:
        """Dead letter of a forged record. `why` is from a closed set, `message` quotes nothing of the record."""
        metrics.FORGED.labels(topic=str(self._topic), why=str(why)).inc()
        self._unsaid[str(why)] += 1
        self._say(record)
        return self._dead_letters.letter(record, reason=NOT_AUTHENTIC, message=message, fault=Fault.FORGED)

    def _say(self, record: Record) -> None:
        now = self._monotonic()
        if self._said_at is not None and now - self._said_at < SAY_EVERY_S:
            return
        log.error("records_not_authentic", records=self._unsaid.total(), why=dict(self._unsaid), **record.place)
        self._said_at, self._unsaid = now, Counter()
