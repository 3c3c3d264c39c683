"""Load generator as the benchmark drives it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.settings import Settings
from stream.bench.child import Child
from stream.bench.mixes import Mix
from stream.events.topics import Topic, max_request_bytes, topic_name
from stream.kafka.clients.security import librdkafka_security

#: Bytes one partition of the embedded broker holds (5 MiB) with room for headers.
EMBEDDED_PARTITION_BYTES = 5_000_000
#: No bound but memory on a real broker.
UNBOUNDED = 1_000_000
SEED = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRun:
    """Run of the load: `moments` (monotonic seconds) and `latencies_s` go together, by decision. `new_tenants`:
    submissions of a tenant that had sent none before."""

    sent: int
    new_tenants: int
    undecided: int
    moments: Sequence[float]
    latencies_s: Sequence[float]
    errors: Mapping[str, int]
    elapsed_ms: Mapping[str, float]


class LoadProcess:
    """Load generator process, ready to publish; every later decision is counted."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self.pid = child.pid

    def saturate(self, mix: Mix, seconds: float, in_flight: int) -> None:
        """Load begun at full rate; `result` waits for the end."""
        self._child.order({"do": "saturate", "mix": mix, "seconds": seconds, "in_flight": in_flight})

    def pace(self, mix: Mix, rate_per_s: float, seconds: float) -> None:
        self._child.order({"do": "pace", "mix": mix, "rate_per_s": rate_per_s, "seconds": seconds})

    def result(self) -> LoadRun:
        return LoadRun(**self._child.answer())


@contextmanager
def load_process(settings: Settings, pictures: Sequence[Path], *, people: bool = False) -> Iterator[LoadProcess]:
    """Load generator for as long as the context lasts; `people` as for `Senders`. Raises ChildFailed."""
    kafka = settings.kafka
    largest = max(picture.stat().st_size for picture in pictures)
    plan = {
        "bootstrap_servers": kafka.bootstrap_servers,
        # Over a pipe, as all of the plan: nobody else sees the password.
        "security": librdkafka_security(kafka),
        "token_file": kafka.sasl_token_file and str(kafka.sasl_token_file),
        "submissions": topic_name(Topic.SUBMISSIONS, kafka),
        "decisions": topic_name(Topic.DECISIONS, kafka),
        "max_event_bytes": max_request_bytes(kafka),
        "fetch_max_wait_ms": kafka.fetch_max_wait_ms,
        "most_a_partition": max(EMBEDDED_PARTITION_BYTES // largest, 1) if kafka.embedded else UNBOUNDED,
        "pictures": [str(picture) for picture in pictures],
        "people": people,
        "seed": SEED,
    }
    with Child("stream.bench.load_process", plan, os.environ) as child:
        child.answer()
        yield LoadProcess(child)
