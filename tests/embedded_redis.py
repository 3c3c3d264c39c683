"""Fixtures of the embedded Redis: one server a run, started when the first test asks."""

from __future__ import annotations

from collections.abc import Iterator

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
