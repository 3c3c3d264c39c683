"""Key prefix of a benchmark on Redis: every page of its keys is removed, and a server that went away is told of."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from abuse.redis_port import Command, Reply
from config.groups.services import RedisSettings
from stream.bench.redis_room import remove, room
from stream.embedded.store import EmbeddedStore


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


def test_server_that_went_away_is_told_and_hides_nothing() -> None:
    store, said, prefixes = EmbeddedStore(), list[str](), list[str]()

    def broken() -> None:
        with room(RedisSettings(url=store.url), said.append) as own:
            prefixes.append(own)
            store.close()
            raise RuntimeError("the benchmark's own")

    with pytest.raises(RuntimeError, match="the benchmark's own"):
        broken()
    assert "Redis did not answer" in said[-1]
    assert prefixes[0] in said[-1], "the user may remove the keys by hand"
