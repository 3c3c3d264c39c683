"""Group results: what the detector groups said of a submission, once its set of parts is closed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from detectors.contract import ModelVersion, Reading


class GroupFault(StrEnum):
    """Fault of a detector group's result; the value is a reason code of the decision."""

    #: No result for every frame before the deadline.
    MISSING = "group_missing"
    #: Two results that differ, or a result for other pictures.
    CONTRADICTORY = "group_contradictory"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupResult:
    """Result of one detector group on a submission: the readings of all frames, or the fault."""

    group: str
    readings: tuple[Reading, ...] = ()
    models: tuple[ModelVersion, ...] = ()
    fault: GroupFault | None = None
