"""A worker that ends between two round trips of a submission: another one, that remembers nothing, does it again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import redis

from abuse.faces.face_codes import codes_from
from abuse.links.large_clusters import LARGE_SIZE
from tests.embedded_redis import dump
from tests.instants import NOW_MS
from tests.unit.stream.builders import analysis
from tests.unit.stream.likenesses import face, picture
from tests.unit.stream.pipeline.abuse_cases import abuse_of, event_of, sent
from tests.unit.stream.pipeline.decision.test_reuse_stage import guid
from tests.unit.stream.pipeline.decision.test_round_trips import MEMBER
from tests.unit.stream.pipeline.trip_cases import PREFIX, pipeline_over

#: More than a worker that knows nothing needs.
MOST_TRIPS = 12


class _EndOfWorkerError(Exception):
    """The end of the worker's process."""


def given(number: int):
    """A submission of one face and picture under a new correlation id, at the present time."""
    record = sent(number, correlation_id=guid(number), session_id=f"s-{number}")
    return replace(record, appended_at_ms=NOW_MS + number)


def pipeline_on(node, number: int = 0):
    """A worker that remembers nothing of the table."""
    pipeline = pipeline_over(node)
    pipeline.analyser.found = analysis(template=face(1, 0.001 * number), picture=picture(1))
    return pipeline


async def decided(node, detection):
    """The decision of a worker that knows nothing yet, and the flag events."""
    pipeline = pipeline_on(node)
    output = await pipeline.decide(detection)
    return output, {(event["flag_id"], event["level"]): event for event in map(event_of, pipeline.flags)}


async def ended(node, detection, after: int) -> bool:
    """The worker ends once Redis has done its round trip `after`, before the reply is read. False: it had fewer."""
    exchange, left = type(node).exchange, after

    async def last(commands):
        nonlocal left
        answers = await exchange(node, commands)
        left -= 1
        if left < 0:
            raise _EndOfWorkerError
        return answers

    node.exchange = last
    try:
        await decided(node, detection)
    except _EndOfWorkerError:
        return True
    finally:
        del node.exchange
    return False


def table(url: str) -> dict[str, Any]:
    """The table's contents, but for when they expire."""
    with redis.Redis.from_url(url) as client:
        held = dump(client, PREFIX)
    for key in [key for key, value in held.items() if isinstance(value, bytes)]:
        if ":face-codes" in key:  # a code may stand there twice
            held[key] = sorted({each.tobytes() for each in codes_from(held[key], 128)})
        elif ":decision" in key:
            del held[key]
    return held


@pytest.mark.parametrize("before", [5, LARGE_SIZE + 1], ids=["small", "large"])
async def test_crash_between_any_two_round_trips(node, empty_redis, before):
    """The sixth member brings the others a level up; a newcomer joins the large cluster."""
    for number in range(before):
        pipeline = pipeline_on(node, number)
        await pipeline.decision(given(number))
    (detection,) = await pipeline_on(node, before).detect(given(before))
    snapshot = {key: redis_dump(empty_redis, key) for key in keys(empty_redis)}
    output, flags = await decided(node, detection)
    undisturbed, expected = table(empty_redis), abuse_of(output)
    assert bool(flags) is (before < LARGE_SIZE)
    for after in range(MOST_TRIPS):
        restore(empty_redis, snapshot)
        if not await ended(node, detection, after):
            break
        output, again = await decided(node, detection)
        assert (table(empty_redis), again) == (undisturbed, flags), after
        assert abuse_of(output)["flags"] == expected["flags"]
        assert abuse_of(output)["links"] == expected["links"]
    assert MEMBER - 1 <= after < MOST_TRIPS, "all but admission, and what a worker that knows nothing asks besides"


def keys(url: str) -> list[bytes]:
    with redis.Redis.from_url(url) as client:
        return list(client.keys(f"{PREFIX}*"))


def redis_dump(url: str, key: bytes) -> bytes:
    with redis.Redis.from_url(url) as client:
        return client.dump(key)


def restore(url: str, snapshot: dict[bytes, bytes]) -> None:
    with redis.Redis.from_url(url) as client:
        client.flushall()
        for key, dumped in snapshot.items():
            client.restore(key, 3_600_000, dumped)
