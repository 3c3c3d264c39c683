"""Observations as documents in decisions, and back: the abuse table is rebuilt from decisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from abuse.event_time import iso8601, milliseconds
from abuse.observation import Finding, Observation, Origin
from abuse.subjects import subject_document, subject_from


def to_document(observation: Observation) -> dict[str, Any]:
    """The document of an observation; the correlation id, tenant and session stand elsewhere in the decision."""
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
    """As `from_decision`, from the published bytes; raises ValueError also for other bytes than JSON."""
    return from_decision(orjson.loads(decision))


def from_decision(decision: Mapping[str, Any]) -> Observation | None:
    """The observation of a decision; None for a decision without. Raises KeyError, ValueError or TypeError for a
    document that no worker wrote."""
    document = (decision["abuse"] or {}).get("observation")
    if document is None:
        return None
    origin = Origin(networks=tuple(document["networks"]), as_expected=document["as_expected"])
    return Observation(
        tenant=decision["tenant"],
        correlation_id=decision["correlation_id"],
        submission_id=document["counted_as"],
        session_id=decision["session_id"],
        at_ms=milliseconds(document["at"]),
        finding=Finding(document["finding"]),
        severity=document["severity"],
        species=document["species"],
        origin=origin.having(map(subject_from, document["subjects"])),
    )
