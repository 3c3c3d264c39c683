"""The newest records of a topic: what was appended since a moment, read from the ends of its partitions.

Records that nobody believes may stand at an end, as many as a thief likes: then the look goes further back, to a bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from config.errors import Unavailable
from config.groups.services import KafkaSettings
from stream.events.message.messages import Record
from stream.kafka.clients.clients import TopicMissing, TopicReader, whole_topics_consumer

log = structlog.get_logger()

#: Records of a partition that are told. Among the last ones some may be duplicates of long ago.
MOST = 20
#: Records of a partition that are read where some are not believed, and the longest time for that: they may be large.
FURTHEST, FURTHER_WITHIN_S = 10 * MOST, 10.0
#: A broker that goes away meanwhile is waited for by the caller, and said.
WITHIN_S = 30.0

#: Partition, as the client names it -> its first offset since the moment, and its end.
_Spans = Mapping[Any, tuple[int, int]]


class _Look:
    """Look at the ends of partitions: believed records, each once, and the partitions with others, of which nothing
    else is kept in memory."""

    def __init__(self, is_believed: Callable[[Record], bool], since_ms: int) -> None:
        self._is_believed, self._since_ms = is_believed, since_ms
        self._believed: dict[int, dict[int, Record]] = {}
        self.doubted: set[int] = set()

    async def read(self, client: Any, spans: _Spans, most: int) -> None:
        for partition, (first, end) in spans.items():
            client.seek(partition, max(first, end - most))
        async for record in TopicReader(client).until_end():
            if not self._is_believed(record):
                self.doubted.add(record.partition)
            elif record.appended_at_ms > self._since_ms:
                self._believed.setdefault(record.partition, {})[record.offset] = record

    def newest(self, partition: int) -> list[Record]:
        return [record for _, record in sorted(self._believed.get(partition, {}).items())][-MOST:]


async def appended_since(
    kafka: KafkaSettings, topic: str, since_ms: int, is_believed: Callable[[Record], bool] = lambda _: True
) -> list[Record]:
    """Believed records that the broker, or the sender of a topic without append times, dates after `since_ms`: the last
    ones, at most `MOST` of a partition; none of a missing topic. Says where the bound hides some. Raises
    KafkaUnreachable, Unavailable."""
    look = _Look(is_believed, since_ms)
    try:
        async with asyncio.timeout(WITHIN_S), whole_topics_consumer(kafka, topic) as client:
            spans = await _spans(client, since_ms)
            await look.read(client, spans, MOST)
            doubted = {each: span for each, span in spans.items() if each.partition in look.doubted}
            if doubted:
                await _look_further(look, client, topic, doubted)
            return [record for each in spans for record in look.newest(each.partition)]
    except TopicMissing:
        return []
    except (KafkaError, TimeoutError) as error:
        raise Unavailable("kafka", type(error).__name__) from error


async def _spans(client: Any, since_ms: int) -> _Spans:
    partitions = client.assignment()
    found = await client.offsets_for_times(dict.fromkeys(partitions, since_ms))
    ends = await client.end_offsets(partitions)
    return {each: (end if found[each] is None else found[each].offset, end) for each, end in ends.items()}


async def _look_further(look: _Look, client: Any, topic: str, spans: _Spans) -> None:
    """Look back until `FURTHEST`, and say which partitions may hold more that is believed."""
    is_done = False
    with suppress(TimeoutError):
        async with asyncio.timeout(FURTHER_WITHIN_S):
            await look.read(client, spans, FURTHEST)
            is_done = True
    cut = [
        each.partition
        for each, (first, end) in spans.items()
        if len(look.newest(each.partition)) < MOST and (not is_done or end - first > FURTHEST)
    ]
    if cut:
        why = "records that nobody believes stand before: an older copy of Redis may go unseen"
        log.warning("newest_records_hidden", topic=topic, partitions=sorted(cut), at_most=FURTHEST, why=why)
