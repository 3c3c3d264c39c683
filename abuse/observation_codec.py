"""An observation as a decision shows it, and back: what the table is rebuilt from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from abuse.event_time import iso8601, milliseconds
from abuse.observation import Finding, Observation, Origin
from abuse.subjects import SubjectType, subject_document, subject_from


def to_document(observation: Observation) -> dict[str, Any]:
    """How the submission was counted: as what, and under which subjects besides its correlation id."""
    origin = observation.origin
    return {
        "at": iso8601(observation.at_ms),
        "counted_as": observation.submission_id,
        "finding": observation.finding,
        "severity": observation.severity,
        "species": observation.species,
        "subjects": [subject_document(subject) for subject in origin.subjects],
        "networks": list(origin.networks),
        "as_expected": origin.as_expected,
    }


def from_decision_bytes(decision: bytes) -> Observation | None:
    """The same from the published bytes; raises ValueError as well for what is no JSON."""
    return from_decision(orjson.loads(decision))


def from_decision(decision: Mapping[str, Any]) -> Observation | None:
    """The observation of a decision; None if it wasn't observed. Raises KeyError, ValueError or TypeError for
    what no worker wrote."""
    document = (decision["abuse"] or {}).get("observation")
    if document is None:
        return None
    subjects = {subject.type: subject for subject in map(subject_from, document["subjects"])}
    return Observation(
        tenant=decision["tenant"],
        correlation_id=decision["correlation_id"],
        submission_id=document["counted_as"],
        session_id=decision["session_id"],
        at_ms=milliseconds(document["at"]),
        finding=Finding(document["finding"]),
        severity=document["severity"],
        species=document["species"],
        origin=Origin(
            device=subjects.get(SubjectType.DEVICE),
            address=subjects.get(SubjectType.ADDRESS),
            prefix=subjects.get(SubjectType.PREFIX),
            networks=tuple(document["networks"]),
            as_expected=document["as_expected"],
        ),
    )
