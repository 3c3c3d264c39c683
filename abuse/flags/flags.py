"""Flags: findings of rules as events that happen once, and the state that a flag's events add up to.

An event's name says what happened (raised, escalated to a level, expired, confirmed or overridden by a command), so
that writing an event again changes nothing, and a flag's state is the same in any order of its events. A review
outranks what rules found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from abuse.event_time import MS
from abuse.subjects import Subject

#: Flags of one subject and kind are told apart by the UTC day they were earned on.
BUCKET_MS = 86_400 * MS
HIGHEST_LEVEL = 3
#: The highest level of a flag on the lead of a large cluster, which rises each time the cluster has doubled.
HIGHEST_GROWTH = 24
#: The time of clearing of a subject that no reviewer has cleared: before every attempt.
NEVER_CLEARED = -1
#: A refusal also covers submissions that came in so shortly before it and are not analysed yet: they were sent along
#: with what earned the refusal. A broker gives all records of a batch one time.
UNDER_WAY_MS = 180 * MS

#: What a flag id looks like.
FLAG_ID = r"^fl_[0-9a-f]{24}$"


class FlagKind(StrEnum):
    """The kind of a flag: the name of the rule that raises the flag."""

    EXCESSIVE_RETRIES = "excessive_retries"
    ATTACK_FREQUENCY = "attack_frequency"
    ATTACK_SEVERITY = "attack_severity"
    ADDRESS_VELOCITY = "address_velocity"
    MANY_IDS_ON_ADDRESS = "many_ids_on_address"
    DEVICE_VELOCITY = "device_velocity"
    CONSTANT_ID = "constant_id"
    LISTED_NETWORK = "listed_network"
    ADDRESS_MISMATCH = "address_mismatch"
    CONTENT_MISMATCH = "content_mismatch"
    FACE_REUSE = "face_reuse"
    MEDIA_REPLAY = "media_replay"


class FlagState(StrEnum):
    RAISED = "raised"
    ESCALATED = "escalated"
    EXPIRED = "expired"
    CONFIRMED = "confirmed"
    OVERRIDDEN = "overridden"


class Severity(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class RefusalKind(StrEnum):
    PAUSED = "paused"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagRefusal:
    """A flag's refusal: submissions of the subject from `from_ms` until before `until_ms` (event time) are not
    analysed, nor are those still under way at `from_ms`."""

    kind: RefusalKind
    from_ms: int
    until_ms: int

    def covers(self, at_ms: int) -> bool:
        return self.from_ms - UNDER_WAY_MS <= at_ms < self.until_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """A submission that is part of the evidence, and why."""

    correlation_id: str
    session_id: str | None
    submission_id: str
    at_ms: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """`used` of `limit` within `window_s`; `counts` are further figures; `linked` the newest of what counted."""

    used: float
    limit: float
    window_s: int
    counts: Mapping[str, int | float | str] = field(default_factory=dict)
    linked: tuple[Linked, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFinding:
    """A rule's finding about a subject: one flag, with its severity at each level up to the level reached.

    `refusal` follows from the highest level. `continues`: an open flag of the kind rises, whatever day it is from.
    """

    kind: FlagKind
    subject: Subject
    severities: tuple[Severity, ...]
    first_ms: int
    at_ms: int
    evidence: Evidence
    refusal: FlagRefusal | None = None
    continues: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagEvent:
    """A flag's event, stored once and published: `document` is the published JSON.

    `cause` is the id of the submission or command that brought the event about, and that alone publishes the event.
    """

    flag_id: str
    name: str
    tenant: str | None
    subject: Subject
    cause: str
    expires_at_ms: int
    document: bytes = field(repr=False)

    @property
    def event_id(self) -> str:
        return f"{self.flag_id}-{self.name.replace(' ', '-')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A flag as its events add up; the last of `documents` gave the state. `causes` are the submissions that brought
    the flag about, each with its event time."""

    flag_id: str
    kind: FlagKind
    tenant: str | None
    subject: Subject
    state: FlagState
    level: int
    severity: Severity
    enforced: bool
    first_ms: int
    last_ms: int
    expires_at_ms: int
    refusals: tuple[FlagRefusal, ...]
    causes: frozenset[tuple[str, int]]
    documents: tuple[bytes, ...] = field(repr=False)

    def open_at(self, at_ms: int) -> bool:
        return self.state not in (FlagState.OVERRIDDEN, FlagState.EXPIRED) and at_ms < self.expires_at_ms

    def refusal_at(self, at_ms: int) -> FlagRefusal | None:
        """The longest refusal in force, a block before a pause."""
        covering = [refusal for refusal in self.refusals if refusal.covers(at_ms)]
        return max(covering, key=lambda r: (r.kind is RefusalKind.BLOCKED, r.until_ms), default=None)

    @property
    def event(self) -> dict[str, Any]:
        """The latest event, as published."""
        document: dict[str, Any] = orjson.loads(self.documents[-1])
        return document


def flag_id(tenant: str | None, kind: FlagKind, subject: Subject, window: str) -> str:
    digest = hashlib.sha256(orjson.dumps([tenant, kind, subject.type, subject.key, window])).hexdigest()
    return f"fl_{digest[:24]}"


def window_name(at_ms: int, cleared_at_ms: int) -> str:
    """The day a flag was earned on. Earned again after a reviewer cleared the subject, it is another flag."""
    bucket = str(at_ms // BUCKET_MS)
    return f"{bucket}+{cleared_at_ms}" if cleared_at_ms > NEVER_CLEARED else bucket
