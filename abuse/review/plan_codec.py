"""A plan as text and back: what is stored before a command is carried out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from abuse.flags.flags import FlagEvent
from abuse.review.reviews import Clearing, Plan
from abuse.subjects import Subject, subject_document, subject_from


def to_document(plan: Plan) -> dict[str, Any]:
    return {
        "changed": plan.changed,
        "events": [
            {
                "flag_id": event.flag_id,
                "name": event.name,
                "tenant": event.tenant,
                "subject": subject_document(event.subject),
                "cause": event.cause,
                "expires_at_ms": event.expires_at_ms,
                "document": event.document.decode(),
            }
            for event in plan.events
        ],
        "clearings": [
            {"subject": subject_document(each.subject), "name": each.name, "text": each.text} for each in plan.clearings
        ],
        "switches": plan.switches,
        "erases": None if plan.erases is None else _erased_document(plan.erases),
    }


def from_document(document: dict[str, Any]) -> Plan:
    return Plan(
        changed=document["changed"],
        events=tuple(
            FlagEvent(
                flag_id=event["flag_id"],
                name=event["name"],
                tenant=event["tenant"],
                subject=subject_from(event["subject"]),
                cause=event["cause"],
                expires_at_ms=event["expires_at_ms"],
                document=event["document"].encode(),
            )
            for event in document["events"]
        ),
        clearings=tuple(
            Clearing(subject=subject_from(each["subject"]), name=each["name"], text=each["text"])
            for each in document["clearings"]
        ),
        switches=document["switches"],
        erases=_erased_from(document.get("erases")),  # plans of the version before have none
    )


def _erased_document(subject: Subject) -> dict[str, Any]:
    return {**subject_document(subject), "former": list(subject.former)}


def _erased_from(document: dict[str, Any] | None) -> Subject | None:
    return None if document is None else replace(subject_from(document), former=tuple(document["former"]))
