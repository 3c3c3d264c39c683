"""Load generator as the benchmark drives it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from config.settings import Settings
from stream.bench.child import Child
from stream.events.topics import Topic, max_request_bytes, topic_name

#: Bytes one partition of the embedded broker holds (5 MiB) with room for headers.
EMBEDDED_PARTITION_BYTES = 5_000_000
#: No bound but memory on a real broker.
UNBOUNDED = 1_000_000
#: A real broker answers a fetch as soon as there is a record.
FETCH_MAX_WAIT_MS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRun:
    """Run of the load: `moments` (monotonic seconds) and `latencies_s` go together, by decision."""

    sent: int
    undecided: int
    moments: Sequence[float]
    latencies_s: Sequence[float]
    errors: Mapping[str, int]
    elapsed_ms: Mapping[str, float]


class LoadProcess:
    """Load generator process, ready to publish when entered; every later decision is counted."""

    def __init__(self, settings: Settings, pictures: Sequence[Path]) -> None:
        kafka = settings.kafka
        largest = max(picture.stat().st_size for picture in pictures)
        most = max(EMBEDDED_PARTITION_BYTES // largest, 1) if kafka.embedded else UNBOUNDED
        self._plan = {
            "bootstrap_servers": kafka.bootstrap_servers,
            "submissions": topic_name(Topic.SUBMISSIONS, kafka),
            "decisions": topic_name(Topic.DECISIONS, kafka),
            "max_event_bytes": max_request_bytes(kafka),
            "fetch_max_wait_ms": kafka.fetch_max_wait_ms or FETCH_MAX_WAIT_MS,
            "most_a_partition": most,
            "pictures": [str(picture) for picture in pictures],
        }
        self._child: Child | None = None

    def __enter__(self) -> Self:
        self._child = Child("stream.bench.load_process", self._plan, os.environ)
        try:
            self._child.answer()
        except BaseException:
            self._child.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._running.stop()

    @property
    def pid(self) -> int:
        return self._running.pid

    def saturate(self, seconds: float, in_flight: int) -> None:
        """Load begun at full rate; `result` waits for the end."""
        self._running.order({"do": "saturate", "seconds": seconds, "in_flight": in_flight})

    def pace(self, rate_per_s: float, seconds: float) -> None:
        self._running.order({"do": "pace", "rate_per_s": rate_per_s, "seconds": seconds})

    def result(self) -> LoadRun:
        return LoadRun(**self._running.answer())

    @property
    def _running(self) -> Child:
        assert self._child is not None, "not entered"
        return self._child
