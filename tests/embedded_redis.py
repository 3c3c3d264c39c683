"""Fixtures of the embedded Redis: one server a run, started when the first test asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import redis

from stream.embedded.store import EmbeddedStore


@pytest.fixture(scope="session")
def embedded_redis() -> Iterator[EmbeddedStore]:
    """The run's own server, for tests that write under prefixes of their own."""
    store = EmbeddedStore()
    yield store
    store.close()


@pytest.fixture
def empty_redis(embedded_redis: EmbeddedStore) -> str:
    """The address of the run's own server with nothing on it, for a test that looks at all there is."""
    flush(embedded_redis.url)
    return embedded_redis.url


def flush(url: str) -> None:
    """Remove every key of the server."""
    with redis.Redis.from_url(url) as client:
        client.flushall()


READ = {
    b"string": ("GET",),
    b"hash": ("HGETALL",),
    b"set": ("SMEMBERS",),
    b"zset": ("ZRANGE", 0, -1, "WITHSCORES"),
    b"vectorset": ("VRANDMEMBER", 10_000),
}


def dump(client: redis.Redis, prefix: str) -> dict[str, Any]:
    """Contents of the keys under a prefix: bytes, a dict, or a list of each; members beside their scores, vectors
    beside their attributes."""
    keys = sorted(client.scan_iter(match=f"{prefix}*", count=1000))
    kinds = _replies(client, [("TYPE", key) for key in keys])
    held = _replies(client, [(READ[kind][0], key, *READ[kind][1:]) for key, kind in zip(keys, kinds, strict=True)])
    found = {}
    for key, kind, value in zip(keys, kinds, held, strict=True):
        if kind == b"vectorset":
            names = sorted(value)
            value = [*zip(names, _replies(client, [("VGETATTR", key, name) for name in names]), strict=True)]
        found[key.decode()] = sorted(value) if kind == b"set" else value
    return found


def _replies(client: redis.Redis, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
    with client.pipeline(transaction=False) as pipe:
        for command in commands:
            pipe.execute_command(*command)
        return pipe.execute()
