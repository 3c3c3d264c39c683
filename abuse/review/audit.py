"""The audit trail: who decided what and when, each entry holding the hash of the one before.

An entry changed, removed or inserted breaks the chain, and `check` says where. A chain lives in the table; if the table
is lost and not rebuilt, a new chain begins, which shows as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

BEGINNING = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a chain ends: the hash of entry `number`, the last one. Number 0 is before the first."""

    chain: str
    number: int = 0
    sha256: str = BEGINNING


class AuditLog(Protocol):
    """The audit chain in the table. Calls raise `config.errors.Unavailable` when the table is away; each may be
    repeated."""

    async def head(self) -> Head:
        """The end of the chain, which is begun if there is none."""

    async def peek(self) -> Head | None:
        """The end of the chain if there is one; begins none."""

    async def append(self, entry: Mapping[str, Any], after: Head) -> bytes:
        """Append the entry behind `after` and what others appended since; return it as it stands in the chain. If the
        chain has an entry of the same command (`command_of`) there, return that entry's bytes."""

    async def restore(self, head: Head) -> None:
        """Set the end of the chain. A rebuild calls this."""


@dataclass(frozen=True, slots=True)
class CommandKey:
    """A command's identity: two tenants may choose the same id."""

    tenant: str | None
    command_id: str


class CommandLog(Protocol):
    """The log of commands, each with its plan or its answer. Calls raise `config.errors.Unavailable` when the table is
    away; each may be repeated."""

    async def find(self, key: CommandKey) -> bytes | None:
        """The stored text of a command; None if there is none."""

    async def put_if_absent(self, key: CommandKey, text: bytes) -> bytes:
        """Store the text unless the command has one; return the stored text."""

    async def replace(self, key: CommandKey, text: bytes) -> None:
        """Store the text in place of the command's."""


def command_of(entry: Mapping[str, Any]) -> CommandKey:
    """The command that an entry answers."""
    return CommandKey(entry["tenant"], entry["command_id"])


def sealed(entry: Mapping[str, Any], after: Head) -> bytes:
    """The entry with its place in the chain and its hash, as published."""
    placed = {**entry, "chain": after.chain, "number": after.number + 1, "previous_sha256": after.sha256}
    return orjson.dumps({**placed, "sha256": digest(placed)})


def digest(entry: Mapping[str, Any]) -> str:
    """SHA-256 of everything but the hash itself, as JSON with sorted keys."""
    kept = {name: value for name, value in entry.items() if name != "sha256"}
    return hashlib.sha256(orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)).hexdigest()


def head_after(sealed_entry: bytes) -> Head:
    entry = orjson.loads(sealed_entry)
    return Head(chain=entry["chain"], number=entry["number"], sha256=entry["sha256"])


def follows(entry: Mapping[str, Any], head: Head) -> bool:
    """Whether an entry stands right behind this end of its chain."""
    place = entry["chain"], entry["number"], entry["previous_sha256"]
    return bool(place == (head.chain, head.number + 1, head.sha256))


_TEXTS = frozenset({"chain", "sha256", "previous_sha256", "command_id", "at", "outcome"})
_TEXTS_OR_NOTHING = frozenset({"command", "actor", "reason", "note", "tenant"})


def require_entry(entry: object) -> None:
    """Raise ValueError for a value that has no place in any chain, or can't be shown as an entry."""
    if not isinstance(entry, dict) or not entry.keys() >= _TEXTS | _TEXTS_OR_NOTHING | {"number", "error", "changed"}:
        raise ValueError("no audit entry")
    refusal = entry["error"]
    sound = (
        all(isinstance(entry[name], str) for name in _TEXTS),
        all(isinstance(entry[name], str | None) for name in _TEXTS_OR_NOTHING),
        type(entry["number"]) is int and entry["number"] >= 1,
        refusal is None or (isinstance(refusal, dict) and isinstance(refusal.get("code"), str)),
        isinstance(entry["changed"], dict),
    )
    if not all(sound):
        raise ValueError("no audit entry")
    try:
        digest(entry)
    except TypeError as error:
        raise ValueError("no audit entry: nested too deeply") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainCheck:
    """`problems` is empty when every entry is there, unchanged and in its place."""

    entries: int
    chains: int
    problems: tuple[str, ...]


def missing_end(entries: Iterable[Mapping[str, Any]], head: Head | None) -> str | None:
    """The problem of entries cut off the end, which `check` can't see; None if nothing is missing. `head` is the end of
    the chain by the table, read before the entries."""
    if head is None:
        lost = "there are entries, but the table knows of no chain; if it was lost: liveness abuse rebuild"
        return next((lost for _ in entries), None)
    if head.number == 0:
        return None
    if any(entry["chain"] == head.chain and entry["sha256"] == head.sha256 for entry in entries):
        return None
    return f"chain {head.chain}: entry {head.number}, its last, is missing or was changed"


def check(entries: Iterable[Mapping[str, Any]]) -> ChainCheck:
    """Check entries (`require_entry`), in any order and with duplicates, against their chain."""
    chains: dict[str, dict[int, Mapping[str, Any]]] = {}
    problems = []
    for entry in entries:
        chain, number = entry["chain"], entry["number"]
        if digest(entry) != entry["sha256"]:
            problems.append(f"chain {chain}: entry {number} was changed")
        if chains.setdefault(chain, {}).setdefault(number, entry)["sha256"] != entry["sha256"]:
            problems.append(f"chain {chain}: there are two entries {number}")
    for chain, places in chains.items():
        problems += (f"chain {chain}: {what}" for what in _breaks(places))
    counted = sum(len(places) for places in chains.values())
    return ChainCheck(entries=counted, chains=len(chains), problems=tuple(problems))


def _breaks(places: Mapping[int, Mapping[str, Any]]) -> Iterator[str]:
    """Problems of a chain, in words. Numbers may be forged: a gap is one problem, however wide."""
    before, previous = 0, BEGINNING
    for number in sorted(places):
        entry, missing = places[number], number - before - 1
        if missing:
            yield (
                f"entry {number - 1} is missing"
                if missing == 1
                else f"entries {before + 1} to {number - 1} are missing"
            )
        elif entry["previous_sha256"] != previous:
            yield f"entry {number} does not follow entry {before}"
        before, previous = number, entry["sha256"]


class InMemoryAuditLog:
    """An audit chain in memory."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self._restored: Head | None = None

    async def head(self) -> Head:
        return await self.peek() or Head(chain="memory")

    async def peek(self) -> Head | None:
        return head_after(self.entries[-1]) if self.entries else self._restored

    async def append(self, entry: Mapping[str, Any], after: Head) -> bytes:
        for sealed_entry in self.entries:
            if command_of(orjson.loads(sealed_entry)) == command_of(entry):
                return sealed_entry
        self.entries.append(sealed(entry, await self.head()))
        return self.entries[-1]

    async def restore(self, head: Head) -> None:
        self._restored = head


class InMemoryCommandLog:
    """A command log in memory."""

    def __init__(self) -> None:
        self.kept: dict[CommandKey, bytes] = {}

    async def find(self, key: CommandKey) -> bytes | None:
        return self.kept.get(key)

    async def put_if_absent(self, key: CommandKey, text: bytes) -> bytes:
        return self.kept.setdefault(key, text)

    async def replace(self, key: CommandKey, text: bytes) -> None:
        self.kept[key] = text
