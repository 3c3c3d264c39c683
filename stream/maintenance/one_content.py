"""The content of Redis, told from another content, for commands that write to Redis for long.

Where Redis is emptied under such a command, the rest of its writes says nothing of those before. A text under the keys
of the installation's marker goes when the content goes. Where there is a marker, that is the text; else one that no
worker takes for a marker, so that workers wait as they did.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from abuse.redis_port import Command, RedisClient, Reply
from stream.redis.marker import MARKER_TTL_S


@dataclass(frozen=True, slots=True)
class OneContent:
    """Content under the marker's `keys`, of which a cluster has some on each node."""

    calls: RedisClient
    keys: Sequence[str]

    async def told(self) -> tuple[Reply, ...]:
        """Texts that tell the content: the same again unless it was lost or rebuilt since. One round trip; may be
        repeated. Raises `config.errors.Unavailable`."""
        ours = f"unmarked|{uuid.uuid4().hex}".encode()
        asked: list[Command] = [("SET", key, ours, "NX", "GET", "EX", MARKER_TTL_S) for key in self.keys]
        return tuple(ours if held is None else held for held in await self.calls.execute(asked))
