"""What abuse learns from one submission: values only, no picture, no raw address or device."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from abuse.subjects import Subject, correlation


class Finding(StrEnum):
    """How a submission ended, as far as abuse is concerned."""

    LIVE = "live"
    SPOOF = "spoof"
    INCONCLUSIVE = "inconclusive"
    #: It could not be analysed: an attempt, but nobody's failure.
    UNANALYSED = "unanalysed"
    #: Other content under a used submission id.
    MISMATCH = "mismatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a submission came from, already hashed. `networks` are the names of the lists its address is on.

    `as_expected` is False when the publisher named an address or network and this one is outside it.
    """

    device: Subject | None = None
    address: Subject | None = None
    prefix: Subject | None = None
    networks: tuple[str, ...] = ()
    as_expected: bool | None = None

    @property
    def subjects(self) -> tuple[Subject, ...]:
        return tuple(s for s in (self.device, self.address, self.prefix) if s is not None)


#: Of a submission that says nothing about its sender.
NOWHERE = Origin()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """`at_ms` is event time (the broker's append). `severity` in [0, 1]: how far a SPOOF is below its bound.

    `species` is the strongest reason of a SPOOF, for example `flat_texture`: the kind of attack as the signals see it.
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

    @property
    def subjects(self) -> tuple[Subject, ...]:
        return (correlation(self.correlation_id), *self.origin.subjects)
