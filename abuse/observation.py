"""Observations of submissions: values only, no picture, no raw address or device."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from abuse.subjects import Subject, SubjectType, correlation


class Finding(StrEnum):
    """The end of a submission, as abuse rules count it."""

    LIVE = "live"
    SPOOF = "spoof"
    INCONCLUSIVE = "inconclusive"
    #: The picture could not be analysed: an attempt, but no failure of the person.
    UNANALYSED = "unanalysed"
    #: Other content under a used submission id.
    MISMATCH = "mismatch"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The sender of a submission, hashed. `networks`: names of the networks its address is in.

    `as_expected`: False when the publisher named an address or network and the submission came from outside.
    """

    device: Subject | None = None
    address: Subject | None = None
    prefix: Subject | None = None
    networks: tuple[str, ...] = ()
    as_expected: bool | None = None

    @cached_property
    def subjects(self) -> tuple[Subject, ...]:
        return tuple(s for s in (self.device, self.address, self.prefix) if s is not None)

    def having(self, subjects: Iterable[Subject]) -> Origin:
        """The origin with these subjects only."""
        of_type = {each.type: each for each in subjects}
        device, address, prefix = map(of_type.get, (SubjectType.DEVICE, SubjectType.ADDRESS, SubjectType.PREFIX))
        return replace(self, device=device, address=address, prefix=prefix)


#: The origin of a submission without anything about its sender.
NOWHERE = Origin()


@dataclass(frozen=True, kw_only=True)
class Observation:
    """A decided submission. `at_ms`: event time (the broker's append). `severity`, 0 to 1: how far a SPOOF is below its
    bound. `species`: the first reason of a SPOOF, for example `flat_texture`: the kind of attack as the signals see it.
    """

    tenant: str | None
    correlation_id: str
    submission_id: str
    session_id: str | None
    at_ms: int
    finding: Finding
    severity: float = 0.0
    species: str = ""
    origin: Origin = NOWHERE

    @cached_property
    def subjects(self) -> tuple[Subject, ...]:
        return (correlation(self.correlation_id), *self.origin.subjects)
