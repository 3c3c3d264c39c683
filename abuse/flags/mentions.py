"""Correlation ids that the evidence of somebody else's flag names, and the flag's event without one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

#: Among the counts of a flag that was raised a level because a reviewer confirmed the same about somebody else: who.
CONFIRMED = "confirmed"


@lru_cache(maxsize=64)
def event_of(document: bytes) -> Mapping[str, Any]:
    """The event of a document, to be read only. Cached: who stores an event asks three times. Raises ValueError."""
    event: dict[str, Any] = orjson.loads(document)
    return event


def linked_ids(document: bytes) -> tuple[str, ...]:
    """Every correlation id that a flag event names as evidence, each once."""
    event = event_of(document)
    named = [str(each.get("correlation_id")) for each in _linked(event)]
    confirmed = confirmed_id(event)
    return tuple(dict.fromkeys(named if confirmed is None else [*named, confirmed]))


def confirmed_id(event: Mapping[str, Any]) -> str | None:
    """About whom a reviewer confirmed the same, if that is why the flag rose. A mounted list of networks may be called
    so too: what is counted under its name is a number."""
    named = (_evidence(event).get("counts") or {}).get(CONFIRMED)
    return named if isinstance(named, str) else None


def linked_submissions(documents: Iterable[bytes]) -> set[tuple[str, str]]:
    """Correlation id and submission id of all that these events of a flag name as evidence."""
    linked = (each for document in documents for each in _linked(orjson.loads(document)))
    return {(str(each.get("correlation_id")), str(each.get("submission"))) for each in linked}


def names(document: bytes, correlation_id: str) -> bool:
    return correlation_id.encode() in document and correlation_id in linked_ids(document)


def without(document: bytes, correlation_id: str) -> bytes:
    """The event with nothing in its evidence of this correlation id; how many there were stays."""
    event = orjson.loads(document)
    linked = [each for each in _linked(event) if each.get("correlation_id") != correlation_id]
    return left_with(event, linked, confirmed=confirmed_id(event) != correlation_id)


def left_with(event: dict[str, Any], linked: Sequence[Mapping[str, Any]], *, confirmed: bool) -> bytes:
    """The event with these submissions alone as evidence, and whom a reviewer confirmed only if that is to stay. Why
    each is part of it may name one of those left out (`same face at 0.312: SUBMISSION`), so that is cut."""
    evidence = event["evidence"]
    evidence["linked"] = [{**each, "why": each["why"].partition(": ")[0]} for each in linked]
    if not confirmed:
        del evidence["counts"][CONFIRMED]
    return orjson.dumps(event)


def _linked(event: Mapping[str, Any]) -> list[dict[str, Any]]:
    linked: list[dict[str, Any]] = _evidence(event).get("linked") or []
    return linked


def _evidence(event: Mapping[str, Any]) -> Mapping[str, Any]:
    evidence: Mapping[str, Any] = event.get("evidence") or {}
    return evidence
