"""Pending detections: the parts of submissions that arrive in several records, until each submission's set is closed.

A set is closed once, by the first worker; the closed set's parts are frozen, so that every worker makes the same
decision of these. Readings and protected references are kept, never a picture nor a plain template.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Protocol

import orjson
from pydantic import StringConstraints, TypeAdapter

from config.strict_json import StrictJson
from stream.events.message.ids import SubmissionIds

#: Longest life of parts: a detector group may be so far ahead of detection, and workers so long away.
PARTS_LIFE_MS = 6 * 3_600_000
#: Bytes of a frame's detection. One has 9 KB with measures and 12 readings (measured); one of 64 long readings stays
#: below. A detection of all frames is the one frame's record of its set, and no longer than the codec takes.
MAX_PENDING_BYTES = 96 * 1024

#: How long a worker's turn to sweep lasts; one that died is replaced after it.
TURN_MS = 10_000

SLOT = r"^[a-z0-9]{1,16}:[0-9]{1,2}$"
_Slot = Annotated[str, StringConstraints(pattern=SLOT)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingPart:
    """Part of a set. `slot`: the one place it can take there; `digest`: 32 characters that tell its content apart from
    another one's; `ends`: nothing but the other frames is waited for besides a part that was refused."""

    slot: str
    digest: str
    ends: bool = False
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing(StrictJson):
    """Closing of a set: the slots that count, those taken twice with different content, and the part (slot, digest)
    whose record closed the set; None where the deadline did. That record publishes the decision."""

    slots: tuple[_Slot, ...]
    against: tuple[_Slot, ...]
    by: tuple[_Slot, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingSet:
    """State of a set. `settled`: text that leads to the decision, once the parts were removed after the decision.
    `owed`, told by `read` alone: the detection that answers for parts which were erased."""

    slots: frozenset[str] = frozenset()
    against: frozenset[str] = frozenset()
    ends: bool = False
    closing: Closing | None = None
    settled: str | None = None
    owed: str | None = field(default=None, repr=False)


#: slot -> (digest, payload)
Parts = Mapping[str, tuple[str, bytes]]
CLOSING = TypeAdapter(Closing)
#: Closing by an erasure: no part counts.
ERASED = Closing(slots=(), against=(), by=None)


def set_name(ids: SubmissionIds, which: str) -> str:
    """Name of a set: a hash of the submission's ids, all of which its parts agree on, and of `which` set of theirs."""
    named = [ids.tenant, ids.submission_id, ids.correlation_id, ids.session_id, ids.resource_id, which]
    return hashlib.sha256(orjson.dumps(named)).hexdigest()[:40]


class PendingDetections(Protocol):
    """Sets of parts by name. Calls may be repeated and raise `config.errors.Unavailable` when the store is away; times
    are the store's."""

    async def put(self, name: str, ids: SubmissionIds, part: PendingPart, due_ms: int | None) -> PendingSet:
        """State of the set after a part was put into its slot, for the decide stage.

        The first content of a slot stays, and another one only marks the slot; a closed set takes nothing. The first
        `due_ms` counts: when the set is to be closed at the latest. One round trip, two for a part that comes again.
        """

    async def close(self, name: str, closing: Closing) -> tuple[Closing, Parts]:
        """Closing in force, ours unless the set is closed, and the parts; for stage and sweep. One round trip."""

    async def read(self, name: str) -> tuple[PendingSet, Parts]:
        """State and parts of a set; for the sweep. One round trip."""

    async def settle(self, name: str, settled: str, slots: Collection[str]) -> None:
        """Remove the parts of a set that is decided, and its deadline; the closing stays, with an ASCII text that leads
        to the decision. For the sweep. One round trip."""

    async def tried(self, name: str, worker: str) -> int:
        """Number of workers, this one included, that began to decide a set whose deadline has come; for the sweep. One
        round trip."""

    async def drop(self, name: str) -> None:
        """Remove the deadline of a set that holds nothing to decide. For the sweep. One round trip."""

    async def due(self, until_ms: int, most: int) -> list[str]:
        """Names of at most so many sets whose deadline has come, the earliest first; for the sweep. One round trip."""

    async def take_turn(self, worker: str, for_ms: int) -> bool:
        """Whether the turn to sweep is this worker's; it then is for so long. At most two round trips."""

    async def listed(self, tenant: str | None, correlation_id: str) -> list[str]:
        """Names of a correlation id's sets; for an erasure and its plan. One round trip."""

    async def unlist(self, tenant: str | None, correlation_id: str, names: Collection[str]) -> None:
        """Take sets off a correlation id's list; an erasure's last step. One round trip."""

    async def owe(self, name: str, owed: str) -> None:
        """Remove the parts of a closed set; the first text that answers for these stays, and is due at once. For an
        erasure. Two round trips."""

    async def discard(self, name: str, slots: Collection[str] | None = None) -> None:
        """Remove a set, or these slots of one that other parts may be joining; for an erasure. One round trip."""


@dataclass(slots=True)
class _Held:
    owner: tuple[str, str | None]
    parts: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    against: set[str] = field(default_factory=set)
    ends: bool = False
    closing: Closing | None = None
    settled: str | None = None
    owed: str | None = None
    tried: set[str] = field(default_factory=set)

    def state(self) -> PendingSet:
        return PendingSet(
            slots=frozenset(self.parts),
            against=frozenset(self.against),
            ends=self.ends,
            closing=self.closing,
            settled=self.settled,
            owed=self.owed,
        )


class InMemoryPendingDetections:
    """The fake: sets in memory. `on_call` is called with each method's name first, and may raise."""

    def __init__(self, on_call: Callable[[str], None] = lambda name: None) -> None:
        self._on_call = on_call
        self._sets: dict[str, _Held] = {}
        self._due: dict[str, int] = {}
        self._turn: str | None = None

    async def put(self, name: str, ids: SubmissionIds, part: PendingPart, due_ms: int | None) -> PendingSet:
        self._on_call("put")
        held = self._sets.setdefault(name, _Held((ids.tenant or "", ids.correlation_id)))
        if due_ms is not None:
            self._due.setdefault(name, due_ms)
        if held.closing is not None:
            return held.state()
        held.ends = held.ends or part.ends
        first, _ = held.parts.setdefault(part.slot, (part.digest, part.payload))
        if first != part.digest:
            held.against.add(part.slot)
        return held.state()

    async def close(self, name: str, closing: Closing) -> tuple[Closing, Parts]:
        self._on_call("close")
        held = self._sets.setdefault(name, _Held(("", None)))
        held.closing = held.closing or closing
        return held.closing, dict(held.parts)

    async def read(self, name: str) -> tuple[PendingSet, Parts]:
        self._on_call("read")
        held = self._sets.get(name)
        return (PendingSet(), {}) if held is None else (held.state(), dict(held.parts))

    async def settle(self, name: str, settled: str, slots: Collection[str]) -> None:
        self._on_call("settle")
        self._due.pop(name, None)
        if (held := self._sets.get(name)) is not None:
            held.parts = {slot: part for slot, part in held.parts.items() if slot not in slots}
            held.settled, held.owed = settled, None

    async def tried(self, name: str, worker: str) -> int:
        self._on_call("tried")
        held = self._sets[name]
        held.tried.add(worker)
        return len(held.tried)

    async def drop(self, name: str) -> None:
        self._on_call("drop")
        self._due.pop(name, None)

    async def due(self, until_ms: int, most: int) -> list[str]:
        self._on_call("due")
        due = sorted((at_ms, name) for name, at_ms in self._due.items() if at_ms <= until_ms)
        return [name for _, name in due[:most]]

    async def take_turn(self, worker: str, for_ms: int) -> bool:
        self._on_call("take_turn")
        self._turn = self._turn or worker
        return self._turn == worker

    async def listed(self, tenant: str | None, correlation_id: str) -> list[str]:
        self._on_call("listed")
        return [name for name, held in self._sets.items() if held.owner == (tenant or "", correlation_id)]

    async def unlist(self, tenant: str | None, correlation_id: str, names: Collection[str]) -> None:
        self._on_call("unlist")
        for name in names:
            if name in self._sets:
                self._sets[name].owner = ("", None)

    async def owe(self, name: str, owed: str) -> None:
        self._on_call("owe")
        held = self._sets[name]
        held.parts, held.against, held.tried, held.ends = {}, set(), set(), False
        held.owed = held.owed or owed
        self._due[name] = 0

    async def discard(self, name: str, slots: Collection[str] | None = None) -> None:
        self._on_call("discard")
        if slots is None:
            self._sets.pop(name, None)
            self._due.pop(name, None)
        elif (held := self._sets.get(name)) is not None:
            held.parts = {slot: part for slot, part in held.parts.items() if slot not in slots}
            held.against -= set(slots)
