"""Correlation ids that the evidence of somebody else's flag names, and the flag's event without one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson


def linked_ids(document: bytes) -> tuple[str, ...]:
    """Every correlation id that a flag event names as evidence, each once."""
    return tuple(dict.fromkeys(str(each.get("correlation_id")) for each in _linked(orjson.loads(document))))


def linked_submissions(documents: Iterable[bytes]) -> set[tuple[str, str]]:
    """Correlation id and submission id of all that these events of a flag name as evidence."""
    linked = (each for document in documents for each in _linked(orjson.loads(document)))
    return {(str(each.get("correlation_id")), str(each.get("submission"))) for each in linked}


def names(document: bytes, correlation_id: str) -> bool:
    return correlation_id.encode() in document and correlation_id in linked_ids(document)


def without(document: bytes, correlation_id: str) -> bytes:
    """The event with nothing in its evidence of this correlation id; the counts stay."""
    event = orjson.loads(document)
    return left_with(event, [each for each in _linked(event) if each.get("correlation_id") != correlation_id])


def left_with(event: dict[str, Any], linked: Sequence[Mapping[str, Any]]) -> bytes:
    """The event with these submissions alone as evidence. Why each is part of it may name one of those left out (`same
    face at 0.312: SUBMISSION`), so that is cut."""
    event["evidence"]["linked"] = [{**each, "why": each["why"].partition(": ")[0]} for each in linked]
    return orjson.dumps(event)


def _linked(event: dict[str, Any]) -> list[dict[str, Any]]:
    linked: list[dict[str, Any]] = (event.get("evidence") or {}).get("linked") or []
    return linked
