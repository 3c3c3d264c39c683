"""The ledger: the port to the abuse table's histories and flags, and a ledger in memory.

Everything written is an element of a set that names itself (a line of a journal, an event of a flag), so every call may
be repeated, come late or cross another, with the same outcome.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import orjson

from abuse.event_time import DAY_MS
from abuse.flags.flag_events import (
    Fields,
    cause_of,
    cleared_at,
    document_of,
    field_of,
    flags_from,
    forgiven_at,
    stored,
    superseded,
)
from abuse.flags.flag_heads import heads
from abuse.flags.flags import NEVER_CLEARED, Flag, FlagEvent
from abuse.ledger.flag_index import InMemoryFlagIndex, Listing, Position, Selection, moves_of
from abuse.ledger.journal import (
    KEPT,
    Attempt,
    attempt_from,
    attempt_of,
    attempts_from,
    keeps_oldest,
    life_ms,
    line_of,
    part_of,
    reach_ms,
)
from abuse.observation import Observation
from abuse.subjects import Subject, SubjectType

#: rule -> switch (`active`, `enforced`) -> on, and under `SESSIONS` a tenant's defaults of sessions; what a
#: `settings.update` changed for a tenant.
Switches = Mapping[str, Mapping[str, Any]]
#: Stands beside the names of rules.
SESSIONS = "sessions"
#: A flag stays readable for so long after its end, then it is forgotten.
GRACE_MS = 7 * 86_400_000
#: Subjects of senders read with an observation: 32 each of devices, addresses and prefixes.
SENDERS_COUNTED = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectHistory:
    """A subject's history in the table: attempts in order of event time, and the events of the subject's flags.

    Fields are parsed when a history is made: fields that no worker wrote raise ValueError, KeyError or TypeError.
    `unlinked_at_ms`: event time up to which the subject's submissions link it to nobody.
    """

    subject: Subject
    attempts: tuple[Attempt, ...] = ()
    fields: Fields = field(default_factory=dict)
    cleared_at_ms: int = field(init=False)
    unlinked_at_ms: int = field(init=False)
    forgiven_at_ms: int = field(init=False)
    flags: tuple[Flag, ...] = field(init=False)

    def __post_init__(self) -> None:
        cleared = forgiven = NEVER_CLEARED
        if self.fields:  # of most subjects nothing is stored
            cleared, forgiven = cleared_at(self.fields), forgiven_at(self.fields)
        object.__setattr__(self, "cleared_at_ms", cleared)
        object.__setattr__(self, "unlinked_at_ms", max(cleared, forgiven))
        object.__setattr__(self, "forgiven_at_ms", forgiven)
        object.__setattr__(self, "flags", flags_from(self.fields) if self.fields else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The histories of a submission's subjects, and the tenant's switches. `senders`: subjects of each type that the
    correlation id was used with in the day up to its observation and since it was cleared, of the newest
    `SENDERS_COUNTED`."""

    histories: tuple[SubjectHistory, ...] = ()
    senders: Mapping[SubjectType, int] = field(default_factory=dict)
    switches: Switches = field(default_factory=dict)

    @property
    def flags(self) -> tuple[Flag, ...]:
        return tuple(flag for history in self.histories for flag in history.flags)


@dataclass(frozen=True, slots=True, kw_only=True)
class Locator:
    """The tenant and the subject of a flag."""

    tenant: str | None
    subject: Subject


class Ledger(Protocol):
    """The abuse table's histories and flags. Each call takes one round trip unless its docstring says otherwise, may be
    repeated, and raises `config.errors.Unavailable` when the table is away."""

    async def read_history(self, tenant: str | None, subjects: Sequence[Subject]) -> Snapshot:
        """Flags of the subjects and switches of the tenant, no attempts; writes nothing. Reviews call this."""

    async def read_heads(self, tenant: str | None, subjects: Sequence[Subject], cause: str | None = None) -> Snapshot:
        """Flags as `read_history` returns them, but without evidence, unless the submission `cause` brought them about.
        The gate and the reuse search call this. Takes a second round trip where there are events that this
        worker hasn't read lately."""

    async def observe(self, observation: Observation) -> Snapshot:
        """Write the attempt to the journals of all its subjects; return their histories, the attempt included, with
        events as `read_heads` returns them to the observation's submission. Takes a second round trip as
        `read_heads` does."""

    async def record_all(self, observations: Sequence[Observation]) -> None:
        """Write the attempts of many observations, as `observe` does. A rebuild calls this."""

    async def history(self, tenant: str | None, subject: Subject) -> SubjectHistory:
        """The history of one subject, all attempts included."""

    async def record(self, events: Sequence[FlagEvent]) -> list[FlagEvent]:
        """Store each event unless there is one of its name. Return the stored event of each whose cause id matches: the
        caller publishes these, other causes publish theirs. Takes a second round trip where another cause
        came first: the flag index follows what is stored, so that a rebuild lists flags alike."""

    async def clear(self, tenant: str | None, subject: Subject, name: str, text: str) -> None:
        """Write a field that says up to when a reviewer cleared the subject or its links, in place of fields with an
        earlier time. Takes up to two round trips."""

    async def locate(self, flag_id: str) -> Locator | None:
        """The tenant and subject of a flag; None for an unknown flag."""

    async def due(self, until_ms: int, most: int) -> list[str]:
        """Ids of flags to look at by `until_ms`, the earliest first: at their expiry, and again when they are to be
        forgotten."""

    async def later(self, flag_id: str, at_ms: int) -> None:
        """Make the flag due at `at_ms`."""

    async def forget(self, flag_id: str) -> None:
        """Remove every trace of a flag. Takes up to five round trips."""

    async def was_erased(self, flag_id: str) -> bool:
        """Whether the flag was erased with its subject a moment ago; a caller that has just written one of the flag's
        events then calls `forget`."""

    async def listed(self, selection: Selection, after: Position | None, most: int) -> Listing:
        """Up to `most` entries of the flag index behind a position, newest first. Entries may be stale. At least one
        where there are any; `more` says whether to go on. Another round trip where many of one time were added."""

    async def read_flags(self, flag_ids: Sequence[str]) -> Mapping[str, Flag]:
        """Flags by id, without unknown ones. Takes two round trips; none for no ids."""

    async def take_turn(self, name: str, for_ms: int) -> bool:
        """Whether the turn to sweep is the worker `name`'s, for `for_ms` from now."""

    async def switches(self, tenant: str | None) -> Switches:
        """The tenant's switches."""

    async def switch(self, tenant: str | None, switches: Switches) -> None:
        """Replace the tenant's switches."""


def history_of(subject: Subject, lines: Iterable[str], fields: Fields, *, at_ms: int | None = None) -> SubjectHistory:
    """The history of stored lines and fields; with `at_ms` only the attempts that rules look at then."""
    after_ms = cleared_at(fields)
    if at_ms is not None:
        after_ms = max(after_ms, at_ms - reach_ms(subject.type))
    return SubjectHistory(subject=subject, attempts=attempts_from(lines, after_ms=after_ms), fields=fields)


def as_stored(events: Sequence[FlagEvent], texts: Iterable[str]) -> list[FlagEvent]:
    """Events in their stored form."""
    return [replace(event, document=document_of(text)) for event, text in zip(events, texts, strict=True)]


def own_events(events: Sequence[FlagEvent], texts: Sequence[str]) -> list[FlagEvent]:
    """Events, in their stored form, whose stored cause is their own."""
    held = zip(as_stored(events, texts), texts, strict=True)
    return [event for event, text in held if cause_of(text) == event.cause]


def _with_heads(history: SubjectHistory, cause: str | None) -> SubjectHistory:
    return replace(history, fields=heads(history.fields, cause))


_Key = tuple[str, SubjectType, str]


def _key(tenant: str | None, subject: Subject) -> _Key:
    return (tenant or "", subject.type, subject.key)


class InMemoryLedger:
    """A ledger in memory: the same sets in dictionaries."""

    def __init__(self, on_call: Callable[[str], None] = lambda name: None) -> None:
        self.journals: dict[tuple[_Key, int], set[str]] = {}
        self.fields: dict[_Key, dict[str, str]] = {}
        self.locators: dict[str, Locator] = {}
        self.due_at: dict[str, int] = {}
        self.switched: dict[str, Switches] = {}
        self.erased: set[str] = set()
        self.index = InMemoryFlagIndex()
        self._on_call = on_call

    async def read_history(self, tenant: str | None, subjects: Sequence[Subject]) -> Snapshot:
        self._on_call("look")
        histories = tuple(SubjectHistory(subject=subject, fields=self._fields(tenant, subject)) for subject in subjects)
        return Snapshot(histories=histories, switches=self.switched.get(tenant or "", {}))

    async def read_heads(self, tenant: str | None, subjects: Sequence[Subject], cause: str | None = None) -> Snapshot:
        known = await self.read_history(tenant, subjects)
        return replace(known, histories=tuple(_with_heads(each, cause) for each in known.histories))

    async def observe(self, observation: Observation) -> Snapshot:
        self._on_call("observe")
        self._write(observation)
        tenant, at_ms = observation.tenant, observation.at_ms
        whole = (
            history_of(subject, self._lines(tenant, subject), self._fields(tenant, subject), at_ms=at_ms)
            for subject in observation.subjects
        )
        histories = tuple(_with_heads(each, observation.submission_id) for each in whole)
        switches = self.switched.get(tenant or "", {})
        senders = self._senders(observation, histories[0].cleared_at_ms)
        return Snapshot(histories=histories, switches=switches, senders=senders)

    async def record_all(self, observations: Sequence[Observation]) -> None:
        self._on_call("learn")
        for observation in observations:
            self._write(observation)

    async def history(self, tenant: str | None, subject: Subject) -> SubjectHistory:
        self._on_call("history")
        return history_of(subject, self._lines(tenant, subject), self._fields(tenant, subject))

    async def record(self, events: Sequence[FlagEvent]) -> list[FlagEvent]:
        self._on_call("record")
        texts = []
        for event in events:
            fields = self.fields.setdefault(_key(event.tenant, event.subject), {})
            texts.append(fields.setdefault(field_of(event), stored(event)))
            self.locators[event.flag_id] = Locator(tenant=event.tenant, subject=event.subject)
            self.due_at[event.flag_id] = max(self.due_at.get(event.flag_id, 0), event.expires_at_ms)
        for event in as_stored(events, texts):
            self.index.move(moves_of(event))
        return own_events(events, texts)

    async def clear(self, tenant: str | None, subject: Subject, name: str, text: str) -> None:
        self._on_call("clear")
        fields = self.fields.setdefault(_key(tenant, subject), {})
        fields[name] = text
        for older in superseded(fields, name, text):
            del fields[older]

    async def locate(self, flag_id: str) -> Locator | None:
        self._on_call("locate")
        return self.locators.get(flag_id)

    async def due(self, until_ms: int, most: int) -> list[str]:
        self._on_call("due")
        due = sorted((at_ms, name) for name, at_ms in self.due_at.items() if at_ms <= until_ms)
        return [name for _, name in due[:most]]

    async def later(self, flag_id: str, at_ms: int) -> None:
        self._on_call("later")
        self.due_at[flag_id] = at_ms

    async def forget(self, flag_id: str) -> None:
        self._on_call("forget")
        locator = self.locators.pop(flag_id, None)
        self.due_at.pop(flag_id, None)
        self.index.remove([flag_id])
        if locator is not None:
            fields = self.fields.get(_key(locator.tenant, locator.subject), {})
            for name in [name for name in fields if name.startswith(f"{flag_id} ")]:
                del fields[name]

    async def was_erased(self, flag_id: str) -> bool:
        self._on_call("was_erased")
        return flag_id in self.erased

    async def listed(self, selection: Selection, after: Position | None, most: int) -> Listing:
        self._on_call("listed")
        return self.index.listed(selection, after, most)

    async def read_flags(self, flag_ids: Sequence[str]) -> Mapping[str, Flag]:
        self._on_call("read_flags")
        located = [self.locators[flag_id] for flag_id in flag_ids if flag_id in self.locators]
        known = (flag for each in located for flag in flags_from(self._fields(each.tenant, each.subject)))
        return {flag.flag_id: flag for flag in known if flag.flag_id in set(flag_ids)}

    async def take_turn(self, name: str, for_ms: int) -> bool:
        self._on_call("take_turn")
        return True

    async def switches(self, tenant: str | None) -> Switches:
        self._on_call("switches")
        return self.switched.get(tenant or "", {})

    async def switch(self, tenant: str | None, switches: Switches) -> None:
        self._on_call("switch")
        self.switched[tenant or ""] = orjson.loads(orjson.dumps(switches))

    def _write(self, observation: Observation) -> None:
        line = line_of(attempt_of(observation))
        for subject in observation.subjects:
            kind, number = subject.type, part_of(subject.type, observation)
            part = (_key(observation.tenant, subject), number)
            lines = sorted({*self.journals.get(part, ()), line})
            fresh = [each for each in lines if attempt_from(each).at_ms >= observation.at_ms - life_ms(kind)]
            self.journals[part] = set(fresh[: KEPT[kind]] if keeps_oldest(kind, number) else fresh[-KEPT[kind] :])

    def _senders(self, observation: Observation, cleared_at_ms: int) -> Counter[SubjectType]:
        """Counted from all journals that hold lines of the correlation id."""
        since_ms, used = max(observation.at_ms - DAY_MS, cleared_at_ms + 1), set[_Key]()
        for (key, _), lines in self.journals.items():
            mine = (attempt_from(line) for line in lines if key[0] == (observation.tenant or ""))
            if any(a.correlation_id == observation.correlation_id and a.at_ms >= since_ms for a in mine):
                used.add(key)
        return Counter(kind for _, kind, _ in used if kind is not SubjectType.CORRELATION_ID)

    def _lines(self, tenant: str | None, subject: Subject) -> set[str]:
        keys = {(tenant or "", subject.type, key) for key in subject.keys}
        return {line for (key, _), lines in self.journals.items() if key in keys for line in lines}

    def _fields(self, tenant: str | None, subject: Subject) -> dict[str, str]:
        """Fields under all keys of the subject; of a field under several keys, the newest key's."""
        merged: dict[str, str] = {}
        for key in reversed(subject.keys):
            merged |= self.fields.get((tenant or "", subject.type, key), {})
        return merged


async def find(ledger: Ledger, flag_id: str) -> Flag | None:
    """The flag of an id; None for an unknown id. Two round trips."""
    locator = await ledger.locate(flag_id)
    if locator is None:
        return None
    known = await ledger.read_history(locator.tenant, [locator.subject])
    return next((flag for flag in known.flags if flag.flag_id == flag_id), None)
