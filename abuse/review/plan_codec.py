"""Plans as JSON documents and back: the form in which the command log stores a plan."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from abuse.review.plans import CommandPlan
from config.validation import fields_at_fault

P = TypeVar("P", bound=CommandPlan)

#: A worker of the version before reads each of these fields, whatever the command; both versions run during a rollout.
_ALWAYS_WRITTEN: dict[str, Any] = {"changed": {}, "events": [], "clearings": [], "switches": None, "erases": None}


class PlanCodec(Generic[P]):
    """The codec of one type of plan."""

    def __init__(self, plan_type: type[P]) -> None:
        self._adapter = TypeAdapter(plan_type)

    def to_document(self, plan: P) -> dict[str, Any]:
        return {**_ALWAYS_WRITTEN, **self._adapter.dump_python(plan, mode="json")}

    def from_document(self, document: dict[str, Any]) -> P:
        """The plan of a document; fields of other types are passed over. Raises ValueError, which quotes nothing of
        the document: a plan may name a person."""
        try:
            return self._adapter.validate_python(document)
        except ValidationError as error:
            raise ValueError(f"a stored plan with malformed {', '.join(fields_at_fault(error, 1))}") from None


def without_effect(changed: dict[str, Any]) -> dict[str, Any]:
    """The document of a plan that is only told, never carried out."""
    return {**_ALWAYS_WRITTEN, "changed": changed}
