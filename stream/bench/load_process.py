"""Load generator process: publishes submissions on a schedule and reads their decisions.

On librdkafka rather than on the worker's client, so that neither its processor time nor a fault of that client hides
in the measurement.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from stream.bench.child import serve
from stream.bench.mixes import Mix, Senders
from stream.bench.schedule import Paced, Saturating, Schedule
from stream.events.wire.submissions import NewSubmission, submission_output
from stream.kafka.clients.security import librdkafka_token

METADATA_TIMEOUT_S = 30.0
#: Between looks at the schedule and the producer's events; an answer ends the wait at once.
LONGEST_WAIT_S = 0.02
SHORTEST_WAIT_S = 0.001
#: After the last submission; then what is missing counts as undecided.
DRAIN_TIMEOUT_S = 30.0
SUBJECT = "ce_subject"


@dataclass(slots=True)
class Tally:
    """Tally of decisions; `moments` and `latencies_s` go together, by decision."""

    sent: int = 0
    new_tenants: int = 0
    moments: list[float] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    elapsed_ms: Counter[str] = field(default_factory=Counter)


def connection(plan: dict[str, Any]) -> dict[str, Any]:
    """Arguments for every client of librdkafka."""
    token = librdkafka_token(Path(plan["token_file"])) if plan["token_file"] else {}
    return {"bootstrap.servers": plan["bootstrap_servers"], "socket.nagle.disable": True, **plan["security"], **token}


class LoadGenerator:
    def __init__(self, plan: dict[str, Any]) -> None:
        self._topic: str = plan["submissions"]
        self._pictures = [Path(file).read_bytes() for file in plan["pictures"]]
        self._senders = {mix: Senders(mix, len(self._pictures), plan["seed"], people=plan["people"]) for mix in Mix}
        self._tenants = set[str]()
        self._most_a_partition: int = plan["most_a_partition"]
        common = connection(plan)
        sending = {"linger.ms": 0, "acks": "all", "message.max.bytes": plan["max_event_bytes"]}
        self._producer = Producer({**common, **sending})
        reading = {"enable.auto.commit": False, "fetch.wait.max.ms": plan["fetch_max_wait_ms"]}
        self._consumer = Consumer({**common, "group.id": f"{self._topic}.bench", **reading})
        self._assign(plan["decisions"])
        self._partitions = len(self._partitions_of(self._topic))
        self._waiting: dict[bytes, tuple[float, int]] = {}
        self._in_partition = [0] * self._partitions
        self._next_partition = 0

    def answer(self, order: dict[str, Any]) -> dict[str, Any]:
        now = time.monotonic()
        schedule: Schedule
        if order["do"] == "saturate":
            schedule = Saturating(now + order["seconds"], order["in_flight"])
        else:
            schedule = Paced(now, order["rate_per_s"], order["seconds"])
        tally = self._run(schedule, self._senders[Mix(order["mix"])])
        undecided = len(self._waiting)
        self._waiting.clear()
        self._in_partition = [0] * self._partitions
        return {"undecided": undecided, **{each.name: getattr(tally, each.name) for each in fields(tally)}}

    def _assign(self, decisions: str) -> None:
        """Consumer placed at the present end of every partition, so that every later decision is read."""
        positions = []
        for number in self._partitions_of(decisions):
            _low, high = self._consumer.get_watermark_offsets(
                TopicPartition(decisions, number), timeout=METADATA_TIMEOUT_S
            )
            positions.append(TopicPartition(decisions, number, high))
        self._consumer.assign(positions)

    def _partitions_of(self, topic: str) -> list[int]:
        """Partitions as the producer sees them: its question makes the embedded broker create a missing topic."""
        found = list(self._producer.list_topics(topic, timeout=METADATA_TIMEOUT_S).topics[topic].partitions)
        if not found:
            raise RuntimeError(f"{topic} has no partitions")
        return found

    def _run(self, schedule: Schedule, senders: Senders) -> Tally:
        tally, give_up_at = Tally(), float("inf")
        while True:
            now = time.monotonic()
            self._send_due(schedule, now, tally, senders)
            over = schedule.over(now)
            if over and (not self._waiting or now > give_up_at):
                return tally
            if over and give_up_at == float("inf"):
                give_up_at = now + DRAIN_TIMEOUT_S
            wait_s = LONGEST_WAIT_S if over else min(schedule.wait(now), LONGEST_WAIT_S)
            self._collect(max(wait_s, SHORTEST_WAIT_S), tally)

    def _send_due(self, schedule: Schedule, now: float, tally: Tally, senders: Senders) -> None:
        while (partition := self._free_partition()) is not None:
            due = schedule.due(now, len(self._waiting))
            if due is None:
                break
            tally.new_tenants += self._send(due, partition, senders)
            tally.sent += 1
        self._producer.poll(0)

    def _free_partition(self) -> int | None:
        """Partition whose turn it is, skipping full ones: the embedded broker would drop the oldest record."""
        for step in range(self._partitions):
            number = (self._next_partition + step) % self._partitions
            if self._in_partition[number] < self._most_a_partition:
                self._next_partition = number + 1
                return number
        return None

    def _send(self, due: float, partition: int, senders: Senders) -> bool:
        """Whether the submission is the first of its tenant."""
        number, optional = senders.next()
        new = NewSubmission(image=self._pictures[number], optional=optional)
        output = submission_output(new, self._topic)
        self._waiting[new.submission_id.encode()] = (due, partition)
        self._in_partition[partition] += 1
        self._producer.produce(
            self._topic, value=output.value, key=output.key, partition=partition, headers=list(output.headers)
        )
        is_new = optional["tenant"] not in self._tenants
        self._tenants.add(optional["tenant"])
        return is_new

    def _collect(self, wait_s: float, tally: Tally) -> None:
        message = self._consumer.poll(wait_s)
        while message is not None:
            if message.error() is None:
                self._note(message, time.monotonic(), tally)
            message = self._consumer.poll(0)

    def _note(self, message: Message, now: float, tally: Tally) -> None:
        subject = dict(message.headers() or []).get(SUBJECT)
        found = self._waiting.pop(subject, None) if isinstance(subject, bytes) else None
        if found is None:
            return
        due, partition = found
        self._in_partition[partition] -= 1
        tally.moments.append(now)
        tally.latencies_s.append(now - due)
        event: dict[str, Any] = orjson.loads(message.value() or b"{}")
        if event["error"] is not None:
            tally.errors[event["error"]["code"]] += 1
        for step, ms in event["elapsed_ms"].items():
            tally.elapsed_ms[step] += ms


if __name__ == "__main__":
    serve(lambda plan: LoadGenerator(plan).answer)
