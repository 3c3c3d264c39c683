"""Face comparison: how much the face of a submission looks like that of its reference image. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from config.strict_json import BrokenRule, StrictJson
from detectors.contract_fields import OptionalCode


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceComparison(StrictJson):
    """Comparison with the reference: `strangers` is the share of pairs of strangers, from 0 to 1, that look at least as
    much alike; None with the `reason`, in snake_case, why nothing was compared."""

    strangers: Annotated[float, Field(ge=0, le=1)] | None = None
    reason: OptionalCode = ""

    def __post_init__(self) -> None:
        if (self.strangers is None) is not bool(self.reason):
            raise BrokenRule("a comparison has either a share or a reason")
