"""The port to Redis of the abuse table and the decision store: several commands in one round trip.

The adapter is `stream.redis.client`, which knows whether there is one server or a cluster. Every store above this port
keeps two promises: each command touches one key only, and is idempotent, because the whole batch is repeated when a
part of it got no answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Protocol, TypeAlias, cast

#: (name, key, *arguments): the key is the second element, and the only key the command touches. A name alone is a
#: command about the server.
Command: TypeAlias = tuple[str | bytes | int | float, ...]
#: A reply of version 2 of Redis' protocol: a float comes as bytes, pairs come flat, there are no maps and no booleans.
Reply: TypeAlias = bytes | int | list["Reply"] | None


class ForeignValue(Exception):
    """A foreign value under a key of ours; the message names the key and the remedy."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"Redis key {key} holds nothing of ours: delete it, and let nobody else write under its prefix"
        )


#: Errors of parsing a value that no worker wrote.
FOREIGN = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError)


class reading:  # noqa: N801  # a statement's name, and a generator in its place takes three times as long
    """Raises ForeignValue for what is found under the key and can't be parsed."""

    __slots__ = ("_key",)

    def __init__(self, key: str) -> None:
        self._key = key

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, FOREIGN):
            raise ForeignValue(self._key) from error


def texts_of(reply: Reply) -> list[str]:
    """The strings of a reply that lists them."""
    return [each.decode() for each in cast("list[bytes]", reply)]


def fields_of(reply: Reply) -> dict[str, str]:
    """The fields of a reply that lists them with their texts."""
    flat = texts_of(reply)
    return dict(zip(flat[::2], flat[1::2], strict=True))


def earliest(replies: Iterable[Reply], most: int) -> list[str]:
    """The members with the lowest scores, of sorted sets that were read with scores."""
    scores = {name: float(score) for reply in replies for name, score in fields_of(reply).items()}
    return sorted(scores, key=lambda name: (scores[name], name))[:most]


class RedisClient(Protocol):
    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        """Send all commands at once, on a cluster to the nodes in parallel; return the replies in the same order.

        Calls made in one turn of the event loop may share the write. Commands on the same key are carried out in their
        order, of a single server all commands of a call. Not atomic: other clients may write in
        between. One deadline for all, after a wait for a free connection, which has none.

        Raises `config.errors.Unavailable` when any command got no answer or a passing error (repeat the whole
        batch), `SettingsError` when Redis refuses this client, `ForeignValue` for a key that holds another kind of
        value. Any other error reply is a bug and is raised as the library does.
        """

    async def close(self) -> None:
        """Close the connections. Calls still under way end as `Unavailable`."""
