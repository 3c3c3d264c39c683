"""A reference to one submission, as links, enrolled references and candidates carry it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

#: Time, submission id and correlation id of a submission: in this order.
RefKey = tuple[int, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionRef:
    """One of the two submissions of a link, or a submission that is to be linked. `spoof`: its verdict."""

    at_ms: int
    submission_id: str
    correlation_id: str
    session_id: str | None = None
    spoof: bool = False

    @property
    def told(self) -> dict[str, Any]:
        """Its fields by name, for whatever says more of the same submission."""
        return {each.name: getattr(self, each.name) for each in fields(SubmissionRef)}

    @property
    def place(self) -> RefKey:
        """In order of time."""
        return (self.at_ms, self.submission_id, self.correlation_id)


def submission_ref_from(
    at_ms: int, submission_id: str, correlation_id: str, session_id: str | None, spoof: bool
) -> SubmissionRef:
    """From the values of `told`."""
    return SubmissionRef(
        at_ms=at_ms, submission_id=submission_id, correlation_id=correlation_id, session_id=session_id, spoof=spoof
    )
