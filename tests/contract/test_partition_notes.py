"""Contract of the notes of partitions: on the embedded Redis, a real server, a real cluster."""

from __future__ import annotations

import pytest

from abuse.redis_port import ForeignValue
from stream.kafka.agents.caution import PartitionNote
from stream.redis.partition_notes import LIFE_MS, RedisPartitionNotes

ONE, TWO = ("liveness.submissions", 0), ("liveness.submissions", 11)
LAST = 2**62
NOTE = PartitionNote(
    first=LAST, covers=LAST + 9, suspects=LAST + 7, alone=LAST + 5, deaths={LAST + 5: 1, LAST + 6: 2}, handed_over=True
)


FOREIGN = b'{"first": 1, "covers": 2, "suspects": 0, "alone": null, "deaths": 3, "handed_over": false}'


async def test_notes_are_kept_until_removed(redis_server):
    notes, others = (RedisPartitionNotes(calls, redis_server.prefix) for calls in redis_server.workers())
    assert await notes.find(ONE) is None
    for partition, note in ((ONE, PartitionNote(first=0, covers=32)), (TWO, NOTE), (ONE, NOTE)):
        await notes.put({partition: note})
        assert await others.find(partition) == note
    await notes.put({ONE: PartitionNote(first=1, covers=33), TWO: NOTE})
    assert (await others.find(ONE), await others.find(TWO)) == (PartitionNote(first=1, covers=33), NOTE)
    (key,) = await redis_server.keys()
    assert 0 < await redis_server.client.pttl(key) <= LIFE_MS
    await others.remove([ONE])
    assert (await notes.find(ONE), await notes.find(TWO)) == (None, NOTE)
    await others.remove([ONE, TWO])
    assert await redis_server.keys() == []


@pytest.mark.parametrize("value", [b"", b"{}", b"[1]", FOREIGN])
async def test_foreign_note_is_named(redis_server, value):
    await redis_server.client.hset(redis_server.key("partition-notes"), "t|0", value)
    with pytest.raises(ForeignValue, match="partition-notes"):
        await RedisPartitionNotes(redis_server.connect(), redis_server.prefix).find(("t", 0))
