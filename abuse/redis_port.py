"""What the abuse table and the decision store ask of Redis: several commands, one round trip.

The adapter is `stream.redis.client`; it knows whether there is one server or a cluster. Whoever writes an adapter over
this port keeps two promises: every command touches one key only, and is idempotent, because a caller repeats the
whole batch when a part of it got no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

#: (name, key, *arguments): the key is always the second element, and the only key the command touches.
Command: TypeAlias = tuple[str | bytes | int | float, ...]
#: As version 2 of Redis' protocol has it: a float comes as bytes, pairs come flat, there are no maps and no booleans.
Reply: TypeAlias = bytes | int | list["Reply"] | None


class ForeignValue(Exception):
    """Something else wrote to a key of ours; the message names the key and what to do."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"Redis key {key} holds nothing of ours: delete it, and let nobody else write under its prefix"
        )


class RedisClient(Protocol):
    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        """All commands at once, replies in the same order; on a cluster to all nodes concerned in parallel.

        Commands on the same key are carried out in their order. Not atomic: others may write in between.
        One deadline for all, after a wait for a free connection, which has none.

        Raises `config.errors.Unavailable` when any command got no answer or a passing error (repeat the whole
        batch), `SettingsError` when Redis refuses this client, `ForeignValue` for a key that holds another kind of
        value. Any other error reply is a bug and comes as the library raises it.
        """

    async def close(self) -> None:
        """Give the connections back. Calls still under way end as `Unavailable`."""
