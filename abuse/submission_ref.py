"""Submission references, as links, enrolled references and candidates carry them."""

from __future__ import annotations

from dataclasses import dataclass, fields
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

    @property
    def ref_fields(self) -> dict[str, Any]:
        """The fields of this class by name, to make an instance of a subclass for the same submission."""
        return {each.name: getattr(self, each.name) for each in fields(SubmissionRef)}

    @property
    def key(self) -> RefKey:
        """The submission's identity, sorted by event time."""
        return (self.at_ms, self.submission_id, self.correlation_id)


def submission_ref_from(
    at_ms: int, submission_id: str, correlation_id: str, session_id: str | None, spoof: bool
) -> SubmissionRef:
    """The reference of the values of `ref_fields`, in their order."""
    return SubmissionRef(
        at_ms=at_ms, submission_id=submission_id, correlation_id=correlation_id, session_id=session_id, spoof=spoof
    )
