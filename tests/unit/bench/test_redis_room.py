"""A benchmark's own room on a Redis: what it takes, and that nothing is left of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from abuse.redis_port import Command, RedisClient, Reply
from config.settings import RedisSettings
from stream.bench.redis_room import in_a_room, remove, room, used_memory
from stream.embedded.store import EmbeddedStore
from stream.redis.client import connect

NEIGHBOUR = "bench-neighbour:1"


class Told:
    """Replies one after the other to whatever is asked; none to removals."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asked: list[Command] = []
        self.removed: list[object] = []

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        if any(command[0] != "UNLINK" for command in commands):
            self.asked += commands
            return [self.replies.pop(0)]
        self.removed += [command[1] for command in commands]
        return [1] * len(commands)

    async def close(self) -> None:
        pass


async def test_every_page_of_keys_is_removed():
    told = Told([b"7", [b"mine:1", b"mine:2"]], [b"9", []], [b"0", [b"mine:3"]])
    await remove(told, "mine:")
    assert told.removed == [b"mine:1", b"mine:2", b"mine:3"]
    assert [command[1] for command in told.asked] == [b"0", b"7", b"9"], "the scan goes on where it was"
    assert {command[2:4] for command in told.asked} == {("MATCH", "mine:*")}


@pytest.mark.parametrize("page", [None, b"0", [b"0"], [0, []], [b"0", b"mine:1"]])
async def test_what_is_no_page_is_no_end(page):
    with pytest.raises(TypeError, match="SCAN"):
        await remove(Told(page), "mine:")


async def test_memory_is_what_the_server_says_it_uses():
    assert await used_memory(Told(b"# Memory\r\nused_memory:1234\r\nused_memory_human:1K\r\n")) == 1234


@pytest.fixture
def redis(empty_redis: str) -> RedisSettings:
    """A server with a key of somebody else's."""
    settings = RedisSettings(url=empty_redis, call_timeout_s=20)
    asyncio.run(put(settings, NEIGHBOUR))
    return settings


async def put(settings: RedisSettings, *keys: str) -> None:
    calls = connect(settings)
    await calls.execute([("SET", key, b"1") for key in keys])
    await calls.close()


def left(settings: RedisSettings) -> list[bytes]:
    async def all_keys(calls: RedisClient, prefix: str) -> list[bytes]:
        (page,) = await calls.execute([("SCAN", b"0", "COUNT", 10_000)])
        assert isinstance(page, list)
        assert page[0] == b"0"
        return page[1]

    return in_a_room(settings, lambda _: None, all_keys)


def test_a_room_is_empty_afterwards_and_nobody_else_s_is_touched(redis):
    with room(redis, lambda _: None) as prefix:
        asyncio.run(put(redis, *(f"{prefix}{number}" for number in range(20))))
        assert len(left(redis)) == 21
    assert left(redis) == [NEIGHBOUR.encode()]


def test_no_two_rooms_are_one(redis):
    with room(redis, lambda _: None) as one, room(redis, lambda _: None) as other:
        assert not one.startswith(other)
        assert not other.startswith(one)


@pytest.mark.parametrize("broken", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_also_of_what_failed_or_was_interrupted(redis, broken):
    async def half_done(calls: RedisClient, prefix: str) -> None:
        await calls.execute([("SET", f"{prefix}half", b"1")])
        assert len(await calls.execute([("GET", f"{prefix}half")])) == 1
        raise broken

    with pytest.raises(broken):
        in_a_room(redis, lambda _: None, half_done)
    assert left(redis) == [NEIGHBOUR.encode()]


def test_a_server_that_went_away_is_told_and_hides_nothing():
    store, said, prefixes = EmbeddedStore(), list[str](), list[str]()

    async def broken(_: RedisClient, prefix: str) -> None:
        prefixes.append(prefix)
        store.close()
        raise RuntimeError("the benchmark's own")

    with pytest.raises(RuntimeError, match="the benchmark's own"):
        in_a_room(RedisSettings(url=store.url), said.append, broken)
    assert "Redis did not answer" in said[-1]
    assert prefixes[0] in said[-1], "whoever wants to can remove it by hand"
