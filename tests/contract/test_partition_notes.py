"""Contract of the notes of partitions: on the embedded Redis, a real server, a real cluster."""

from __future__ import annotations

import pytest

from abuse.redis_port import ForeignValue
from stream.kafka.caution import PartitionNote
from stream.redis.partition_notes import LIFE_MS, RedisPartitionNotes

ONE, TWO = ("liveness.submissions", 0), ("liveness.submissions", 11)
NOTE = PartitionNote(first=2**62, unmoved=3, alone=2**62 + 5, deaths={2**62 + 5: 1, 2**62 + 9: 2})


async def test_notes_are_kept_until_removed(redis_server):
    notes, others = (RedisPartitionNotes(calls, redis_server.prefix) for calls in redis_server.workers())
    assert await notes.find(ONE) is None
    for partition, note in ((ONE, PartitionNote(first=0)), (TWO, NOTE), (ONE, NOTE)):
        await notes.put(partition, note)
        assert await others.find(partition) == note
    (key,) = await redis_server.keys()
    assert 0 < await redis_server.client.pttl(key) <= LIFE_MS
    await others.remove([ONE])
    assert (await notes.find(ONE), await notes.find(TWO)) == (None, NOTE)
    await others.remove([ONE, TWO])
    assert await redis_server.keys() == []


@pytest.mark.parametrize("value", [b"", b"{}", b"[1]", b'{"first": 1, "unmoved": 0, "alone": null, "deaths": 3}'])
async def test_foreign_note_is_named(redis_server, value):
    await redis_server.client.hset(redis_server.key("in-work"), "t|0", value)
    with pytest.raises(ForeignValue, match="in-work"):
        await RedisPartitionNotes(redis_server.connect(), redis_server.prefix).find(("t", 0))
