"""The newest records of a topic: what was appended since a moment, read from the ends of its partitions."""

from __future__ import annotations

import asyncio

from aiokafka.errors import KafkaError

from config.errors import Unavailable
from config.settings import KafkaSettings
from stream.events.messages import Record
from stream.kafka.clients import TopicMissing, TopicReader, whole_topics_consumer

#: Records of a partition that are read. Among the last ones some may be duplicates of long ago.
MOST = 20
#: A broker that goes away meanwhile is waited for by the caller, and said.
WITHIN_S = 30.0


async def appended_since(kafka: KafkaSettings, topic: str, since_ms: int) -> list[Record]:
    """Records that the broker, or the sender of a topic without append times, dates after `since_ms`: the last ones,
    at most `MOST` of a partition; none of a missing topic. Raises KafkaUnreachable, Unavailable."""
    try:
        async with asyncio.timeout(WITHIN_S), whole_topics_consumer(kafka, topic) as client:
            partitions = client.assignment()
            found = await client.offsets_for_times(dict.fromkeys(partitions, since_ms))
            for partition, end in (await client.end_offsets(partitions)).items():
                first = found[partition]
                client.seek(partition, end if first is None else max(first.offset, end - MOST))
            return [each async for each in TopicReader(client).until_end() if each.appended_at_ms > since_ms]
    except TopicMissing:
        return []
    except (KafkaError, TimeoutError) as error:
        raise Unavailable("kafka", type(error).__name__) from error
