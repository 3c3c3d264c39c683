"""The check of delivery: the fate of every submission, read from the topics afterwards.

The core is pure: records in, `Report` out. It trusts only the broker's records, nothing that a worker said:
every submission has exactly one distinct decision (byte-identical repeats are counted and fine) or its dead
letter, and the group has nothing left to read. By hand, with the installation's settings in the environment:

    python -m tests.e2e.checker
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from config import settings as configuration
from config.limits.capture import ImageLimits
from config.settings import Settings
from stream.events.message.ids import SubmissionIds, request_id
from stream.events.message.messages import Poison, Record
from stream.events.topics import Topic, topic_name
from stream.kafka.clients.clients import admin, reader
from stream.kafka.clients.security import client_security
from stream.pipeline.intake import intake
from stream.pipeline.join.joined import fingerprint_of_frames

#: Decisions are told apart by everything a consumer sees of them.
_Seen = tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]
Place = tuple[str, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`sound` is the verdict; the tuples name what is wrong, by request id or by place on the topic."""

    submissions: int
    decided: int
    dead_lettered: int
    duplicates: int
    lost: tuple[str, ...] = ()
    conflicting: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    misattributed: tuple[str, ...] = ()
    altered_dead_letters: tuple[str, ...] = ()
    lag: Mapping[str, int]

    @property
    def sound(self) -> bool:
        return not self.problems

    @property
    def problems(self) -> dict[str, object]:
        """Findings by kind; empty when the delivery was sound."""
        found: dict[str, object] = {
            "lost": self.lost,
            "conflicting": self.conflicting,
            "unknown": self.unknown,
            "misattributed": self.misattributed,
            "altered_dead_letters": self.altered_dead_letters,
            "lag": {name: lag for name, lag in self.lag.items() if lag},
        }
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expected:
    """A submission and its records on the topic: several if its publisher repeated it, or sent a record a frame. Of
    such a submission the checker expects the decision on all its frames that are on the topic, each sent unchanged."""

    submission_id: str | None
    records: list[Record]


def check(
    submissions: Iterable[Record],
    decisions: Iterable[Record],
    dead_letters: Iterable[Record],
    lag: Mapping[str, int],
    limits: ImageLimits | None = None,
    *,
    sessions: bool = False,
) -> Report:
    """Compare what was submitted with what came out. Pure. `sessions`: whether the installation has sessions, and so
    takes submissions of a record a frame."""
    submitted = list(submissions)
    expected = _expected(submitted, limits or ImageLimits(), sessions=sessions)
    seen, decision_count = _by_request(decisions)
    letters, altered, unknown_letters, letter_count = _letters(submitted, dead_letters)
    lost, misattributed, covered, lettered = [], [], 0, 0
    for name, wanted in expected.items():
        has_letter = any(_place(record) in letters for record in wanted.records)
        covered += name in seen
        lettered += has_letter
        if name not in seen and not has_letter:
            lost.append(name)
        if any(_submission_id(value) != wanted.submission_id for _, value, _ in seen.get(name, ())):
            misattributed.append(name)
    distinct = sum(len(versions) for versions in seen.values())
    distinct_letters = len(letters)
    return Report(
        submissions=len(expected),
        decided=covered,
        dead_lettered=lettered,
        duplicates=decision_count - distinct + letter_count - distinct_letters - len(unknown_letters),
        lost=tuple(sorted(lost)),
        conflicting=tuple(sorted(name for name, versions in seen.items() if len(versions) > 1)),
        unknown=tuple(sorted({*(name for name in seen if name not in expected), *unknown_letters})),
        misattributed=tuple(sorted(misattributed)),
        altered_dead_letters=tuple(sorted(altered)),
        lag=dict(lag),
    )


def _expected(submitted: list[Record], limits: ImageLimits, *, sessions: bool) -> dict[str, _Expected]:
    expected: dict[str, _Expected] = {}
    sets: dict[tuple[SubmissionIds, int], list[tuple[int, str, Record]]] = defaultdict(list)
    for record in submitted:
        read = intake.read(record, limits, sessions=sessions)
        if isinstance(read, Poison):
            name, submission_id = f"record {_spelled(_place(record))}", None
        elif read.part is not None:
            place = (read.part.frame_index, read.fingerprint, record)
            sets[read.ids, read.part.frame_count].append(place)
            continue
        else:
            name, submission_id = request_id(read.ids, read.fingerprint), read.ids.submission_id
        expected.setdefault(name, _Expected(submission_id=submission_id, records=[])).records.append(record)
    for (ids, count), frames in sets.items():
        first = {index: fingerprint for index, fingerprint, _ in reversed(frames)}
        name = request_id(ids, fingerprint_of_frames(first, count))
        records = [record for _, _, record in frames]
        expected[name] = _Expected(submission_id=ids.submission_id, records=records)
    return expected


def _by_request(decisions: Iterable[Record]) -> tuple[dict[str, set[_Seen]], int]:
    seen: dict[str, set[_Seen]] = defaultdict(set)
    count = 0
    for record in decisions:
        count += 1
        name = str(_field(record.value, "request_id") or f"record {_spelled(_place(record))}")
        seen[name].add((record.key, record.value, record.headers))
    return seen, count


def _letters(submitted: list[Record], dead_letters: Iterable[Record]) -> tuple[set[Place], set[str], list[str], int]:
    """Places that have a letter, places whose letter differs from the record, letters of no submission, count."""
    originals = {_place(record): record for record in submitted}
    found: set[Place] = set()
    altered: set[str] = set()
    unknown: list[str] = []
    count = 0
    for letter in dead_letters:
        count += 1
        place = _source(letter)
        if place not in originals:
            unknown.append(f"dead letter {_spelled(_place(letter))}")
            continue
        found.add(place)
        original = originals[place]
        if (letter.key, letter.value or b"") != (original.key, original.value or b""):  # null becomes empty
            altered.add(_spelled(place))
    return found, altered, unknown, count


def _source(letter: Record) -> Place:
    headers = {name: value.decode("utf-8", "replace") for name, value in letter.headers}
    try:
        where = int(headers["source_partition"]), int(headers["source_offset"])
    except (KeyError, ValueError):
        return ("", -1, -1)
    return (headers.get("source_topic", ""), *where)


def _place(record: Record) -> Place:
    return (record.topic, record.partition, record.offset)


def _spelled(place: Place) -> str:
    return f"{place[0]}/{place[1]}@{place[2]}"


def _submission_id(value: bytes | None) -> object:
    return _field(value, "submission_id")


def _field(value: bytes | None, name: str) -> object:
    try:
        document = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    return document.get(name) if isinstance(document, dict) else None


async def read_and_check(settings: Settings) -> Report:
    """The thin edge: read the three topics to their present end, ask for the group's lag, and compare."""
    topics = (Topic.SUBMISSIONS, Topic.DECISIONS, Topic.DEAD_LETTER)
    records = {topic: await read_all(settings, topic) for topic in topics}
    others = {topic_name(topic, settings.kafka) for topic in Topic if topic is not Topic.SUBMISSIONS}
    return check(
        records[Topic.SUBMISSIONS],
        records[Topic.DECISIONS],
        [letter for letter in records[Topic.DEAD_LETTER] if _source(letter)[0] not in others],
        await group_lag(settings),
        settings.policy().image,
        sessions=settings.sessions.keys is not None,
    )


async def read_all(settings: Settings, topic: Topic) -> list[Record]:
    """Every record of a topic, up to its present end."""
    async with reader(settings.kafka, topic_name(topic, settings.kafka), from_start=True) as source:
        return [record async for record in source.until_end()]


async def group_lag(settings: Settings) -> dict[str, int]:
    """Records that the consumer group has not yet committed, by topic."""
    lag = {}
    for topic in (Topic.SUBMISSIONS, Topic.DETECTIONS):
        waits = [end - committed for end, committed in (await offsets(settings, topic)).values()]
        lag[str(topic)] = sum(waits)
    return lag


async def offsets(settings: Settings, topic: Topic) -> dict[int, tuple[int, int]]:
    """Partition -> (end of the topic, what the group has committed; the beginning if nothing)."""
    name = topic_name(topic, settings.kafka)
    async with admin(settings.kafka) as client:
        described = await client.describe_topics([name])
        partitions = [TopicPartition(name, part["partition"]) for part in described[0]["partitions"]]
        committed = await client.list_consumer_group_offsets(settings.group_id)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka.bootstrap_servers, **client_security(settings.kafka))
    await consumer.start()
    try:
        ends = await consumer.end_offsets(partitions)
        begins = await consumer.beginning_offsets(partitions)
    finally:
        await consumer.stop()
    return {
        tp.partition: (ends[tp], max(committed[tp].offset, begins[tp]) if tp in committed else begins[tp])
        for tp in partitions
    }


def main() -> int:
    """Print the report as JSON; 0 if delivery was sound, 1 if not."""
    report = asyncio.run(read_and_check(configuration.load()))
    print(json.dumps({"sound": report.sound, **asdict(report)}))
    return 0 if report.sound else 1


if __name__ == "__main__":
    sys.exit(main())
