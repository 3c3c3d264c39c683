"""Key prefix of a benchmark on Redis: no key of the prefix is left, no other key is touched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from abuse.redis_port import Command, RedisClient, Reply
from config.settings import RedisSettings
from stream.bench.redis_room import remove, room
from stream.embedded.store import EmbeddedStore
from tests.bench.growth import in_a_room

NEIGHBOUR = b"bench-neighbour:1"


class FakeServer:
    """Server that replies to SCAN page by page and keeps the removed keys."""

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


async def test_every_page_of_keys_is_removed() -> None:
    server = FakeServer([b"7", [b"mine:1", b"mine:2"]], [b"9", []], [b"0", [b"mine:3"]])
    await remove(server, "mine:")
    assert server.removed == [b"mine:1", b"mine:2", b"mine:3"]
    assert [command[1:4] for command in server.asked] == [(at, "MATCH", "mine:*") for at in (b"0", b"7", b"9")]


@pytest.mark.parametrize("page", [None, b"0", [b"0"], [0, []], [b"0", b"mine:1"]])
async def test_what_is_no_page_is_no_end(page: Reply) -> None:
    with pytest.raises(TypeError, match="SCAN"):
        await remove(FakeServer(page), "mine:")


@pytest.fixture
def redis(empty_redis: str) -> Iterator[RedisSettings]:
    """Server with a key of another program, the only key at the end."""
    settings = RedisSettings(url=empty_redis, call_timeout_s=20)

    async def put(calls: RedisClient, _prefix: str) -> None:
        await calls.execute([("SET", NEIGHBOUR, b"1")])

    async def left(calls: RedisClient, _prefix: str) -> list[Reply]:
        return await calls.execute([("SCAN", b"0", "COUNT", 10_000)])

    in_a_room(settings, lambda _: None, put)
    yield settings
    assert in_a_room(settings, lambda _: None, left) == [[b"0", [NEIGHBOUR]]]


@pytest.mark.parametrize("broken", [None, RuntimeError, KeyboardInterrupt, SystemExit])
def test_nothing_stays(redis: RedisSettings, broken: type[BaseException] | None) -> None:
    async def work(calls: RedisClient, prefix: str) -> None:
        await calls.execute([("SET", f"{prefix}{number}", b"1") for number in range(20)])
        if broken is not None:
            raise broken

    if broken is None:
        in_a_room(redis, lambda _: None, work)
    else:
        with pytest.raises(broken):
            in_a_room(redis, lambda _: None, work)


def test_no_two_rooms_are_one(redis: RedisSettings) -> None:
    with room(redis, lambda _: None) as one, room(redis, lambda _: None) as other:
        assert not one.startswith(other)
        assert not other.startswith(one)


def test_server_that_went_away_is_told_and_hides_nothing() -> None:
    store, said, prefixes = EmbeddedStore(), list[str](), list[str]()

    async def broken(_: RedisClient, prefix: str) -> None:
        prefixes.append(prefix)
        store.close()
        raise RuntimeError("the benchmark's own")

    with pytest.raises(RuntimeError, match="the benchmark's own"):
        in_a_room(RedisSettings(url=store.url), said.append, broken)
    assert "Redis did not answer" in said[-1]
    assert prefixes[0] in said[-1], "the user may remove the keys by hand"
