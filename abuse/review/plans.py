"""Plans: what a command will do, stored before anything is done.

A plan carried out twice has the same effect, so that a worker may carry it out again after a crash.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from abuse.flags.flags import FlagEvent
from abuse.ledger.ledger import Switches
from abuse.subjects import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandPlan:
    """A plan of any command. `changed` is for the audit entry."""

    changed: dict[str, Any]

    def carried_out(self) -> Self:
        """The part of the plan that stays stored with the answer."""
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearing:
    """A subject whose past no longer counts, or links it to nobody: a field of the subject and its text."""

    subject: Subject
    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagPlan(CommandPlan):
    """A decision on flags: their events, to be stored and published, and the subjects to clear."""

    events: tuple[FlagEvent, ...] = ()
    clearings: tuple[Clearing, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchPlan(CommandPlan):
    """A change of rule switches. `switches` are only those to change: another command may switch other rules before
    the plan is carried out, or carried out again."""

    switches: Switches


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasurePlan(CommandPlan):
    """An erasure. `erases` is the subject to remove, and unset once the subject is removed."""

    erases: Subject | None

    def carried_out(self) -> Self:
        return replace(self, erases=None)
