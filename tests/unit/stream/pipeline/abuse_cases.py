"""What the tests of abuse on the line have in common: attacks by somebody, and what they led to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from stream.events.messages import Output, Record
from tests.unit.stream.builders import APPENDED_AT_MS, GUID, analysis, bare
from tests.unit.stream.fakes import FakeAnalyser, Pipeline

#: The first is a failure and no blatant attack, so that few rules have a word to say about it.
SPOOF, BLATANT, LIVE = analysis(0.45), analysis(0.1), analysis(0.95)
ADDRESS, OTHER_ADDRESS, DEVICE = "203.0.113.9", "2001:db8::7", "Zebra-Phone-77"


def sent(number: int, at_s: float = 0.0, **changes: Any) -> Record:
    """Submission `number`, appended so many seconds after the first."""
    given = bare(**{"submission_id": f"sub-{number}", **changes})
    return replace(given, appended_at_ms=APPENDED_AT_MS + round(at_s * 1000))


def event_of(output: Output) -> dict[str, Any]:
    event: dict[str, Any] = orjson.loads(output.value or b"")
    return event


def abuse_of(output: Output) -> dict[str, Any]:
    abuse: dict[str, Any] = event_of(output)["abuse"]
    return abuse


def code_of(output: Output) -> str | None:
    return (event_of(output)["error"] or {}).get("code")


def attacked(**changes: Any) -> Pipeline:
    """A line whose analyser says SPOOF."""
    return Pipeline(FakeAnalyser(SPOOF), **changes)


async def five_failures(line: Pipeline, *, first: int = 1, at_s: float = 0.0, **changes: Any) -> list[Output]:
    """A second apart: the last of them earns a pause of half an hour."""
    return [await line.decision(sent(first + n, at_s + n, **changes)) for n in range(5)]


def of_kind(flags: list[Output], kind: str) -> list[dict[str, Any]]:
    return [event for event in map(event_of, flags) if event["kind"] == kind]


__all__ = ["APPENDED_AT_MS", "GUID"]
