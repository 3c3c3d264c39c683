"""Send the acts one after another and hand out each answer as it arrives.

Paced by what was answered: the embedded broker keeps only 5 MiB a partition, so little may be under way.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import orjson

from config.settings import Settings
from stream.demo.scenario import Act
from stream.embedded.broker import LARGE_BYTES
from stream.events.message.messages import Output, Record
from stream.events.topics import Topic, topic_name
from stream.kafka.clients.clients import TopicReader, producer, reader, send

ANSWER_TIMEOUT_S = 60.0
SUBJECT_HEADER = "ce_subject"


@dataclass(slots=True)
class Played:
    """Counts of a demo; `unanswered` holds the titles that got no decision or dead letter in time."""

    decisions: int = 0
    dead_letters: int = 0
    unanswered: list[str] = field(default_factory=list)


async def play(acts: Iterable[Act], settings: Settings, show: Callable[[Act, Record], None]) -> Played:
    """Acts sent one by one, each answer waited for and shown."""
    played = Played()
    decisions = topic_name(Topic.DECISIONS, settings.kafka)
    letters = topic_name(Topic.DEAD_LETTER, settings.kafka)
    async with (
        reader(settings.kafka, decisions, from_start=False) as decided,
        reader(settings.kafka, letters, from_start=False) as set_aside,
        producer(settings.kafka) as client,
    ):
        for act in acts:
            await send(client, act.output)
            if len(act.output.value or b"") > LARGE_BYTES:
                await send(client, _filler(act.output))
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    record = await (_decision(decided, act) if act.answered else anext(set_aside.records()))
            except TimeoutError:
                played.unanswered.append(act.title)
                continue
            if act.answered:
                played.decisions += 1
            else:
                played.dead_letters += 1
            show(act, record)
    return played


def _filler(behind: Output) -> Output:
    """Small event behind a large picture, which the embedded broker needs; its decision is not shown."""
    ids = {"submission_id": f"filler-{uuid.uuid4()}", "correlation_id": (behind.key or b"").decode()}
    return Output(topic=behind.topic, key=behind.key, value=orjson.dumps(ids), headers=())


async def _decision(source: TopicReader, act: Act) -> Record:
    async for record in source.records():
        if dict(record.headers).get(SUBJECT_HEADER) == act.submission_id.encode():
            return record
    raise AssertionError("the reader never ends")
