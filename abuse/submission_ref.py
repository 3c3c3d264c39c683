"""Submission references, as links, enrolled references and candidates carry them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: Event time, submission id and correlation id of a submission.
RefKey = tuple[int, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionRef:
    """A submission as abuse data names it. `at_ms`: event time. `spoof`: whether its verdict was SPOOF."""

    at_ms: int
    submission_id: str
    correlation_id: str
    session_id: str | None = None
    spoof: bool = False
    #: The submission's identity, sorted by event time. Kept, since clusters ask for the key of each member many times.
    key: RefKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (self.at_ms, self.submission_id, self.correlation_id))

    @property
    def ref_fields(self) -> dict[str, Any]:
        """The fields of this class by name, to make an instance of a subclass for the same submission."""
        return {
            "at_ms": self.at_ms,
            "submission_id": self.submission_id,
            "correlation_id": self.correlation_id,
            "session_id": self.session_id,
            "spoof": self.spoof,
        }


def submission_ref_from(
    at_ms: int, submission_id: str, correlation_id: str, session_id: str | None, spoof: bool
) -> SubmissionRef:
    """The reference of the values of `ref_fields`, in their order."""
    return SubmissionRef(
        at_ms=at_ms, submission_id=submission_id, correlation_id=correlation_id, session_id=session_id, spoof=spoof
    )
