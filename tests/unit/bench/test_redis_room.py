"""A benchmark's own room on a Redis: what it takes, and that nothing is left of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from abuse.redis_port import Command, Reply
from stream.bench.redis_room import remove, used_memory


class Told:
    """Replies one after the other to whatever is asked; none to removals."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asked: list[Command] = []
        self.removed: list[object] = []

    async def round_trip(self, commands: Sequence[Command]) -> list[Reply]:
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
