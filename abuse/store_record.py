"""Store records: what one family of Redis keys holds, declared once, beside the code that names the keys.

`stream.maintenance.store_records` lists the records of all stores. The table of retention, what a receipt of an erasure
names as kept, and the tests of erasing and rebuilding follow from that list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from config.policy import Policy
from config.settings import Settings

#: Milliseconds; a function where settings or policy decide.
Lifetime: TypeAlias = int | Callable[[Settings, Policy], int]
#: Words for people; a function where the settings decide.
Wording: TypeAlias = str | Callable[[Settings], str]


class Personal(StrEnum):
    """The most personal content of a store."""

    NONE = "no"
    #: Ids of the publisher's, or keyed hashes: the publisher's records, or the secret, tell whose.
    PSEUDONYMOUS = "pseudonymous"
    #: Raw addresses and devices.
    PERSONAL = "personal"
    BIOMETRIC = "biometric"


class Erasing(StrEnum):
    """The effect of `subject.erase` on what a store holds of a person."""

    REMOVED = "removed with its subject"
    #: Answers to commands: without them nobody could show what was decided.
    KEPT = "kept, and named in the receipt"
    #: For minutes, so that a writer at the same moment takes back what it wrote.
    GUARD = "written by the erasure itself"


class RebuiltFrom(StrEnum):
    """The topics that a rebuild reads a store's content from."""

    DECISIONS = "decisions"
    FLAG_EVENTS = "abuse-flags"
    AUDIT = "audit"
    DETECTIONS = "detections"
    SESSIONS = "sessions"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRecord:
    """The record of one family of Redis keys. `name`: what keys begin with behind the installation's prefix, up to
    `:{`, or the whole key. A key is kept for `life_ms` `after` something. `rebuilt_from`: empty where a rebuild writes
    nothing."""

    name: str
    holds: Wording
    personal: Personal = Personal.PSEUDONYMOUS
    life_ms: Lifetime
    after: Wording
    erasing: Erasing = Erasing.REMOVED
    rebuilt_from: tuple[RebuiltFrom, ...] = ()

    @property
    def erased(self) -> bool:
        """Whether `subject.erase` removes personal content from the store."""
        return self.personal is not Personal.NONE and self.erasing is Erasing.REMOVED

    def key(self, prefix: str, *parts: object) -> str:
        """The key of these parts. Braces keep a cluster from splitting commands by anything else."""
        return f"{prefix}{self.name}:{{{'|'.join(map(str, parts))}}}"
