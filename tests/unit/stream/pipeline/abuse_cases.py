"""Attacks for the tests of the abuse stage, and parts of the decisions and flag events they lead to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from stream.events.message.messages import Output, Record
from tests.unit.stream.builders import APPENDED_AT_MS, GUID, analysis, bare
from tests.unit.stream.fakes import FakeAnalyser, Pipeline

#: SPOOF is a failure and no blatant attack, so that few rules flag it.
SPOOF, BLATANT, LIVE = analysis(0.49), analysis(0.1), analysis(0.95)
ADDRESS, OTHER_ADDRESS, DEVICE = "203.0.113.9", "2001:db8::7", "Zebra-Phone-77"
EVERYTHING = {
    "client_ip": ADDRESS,
    "device_id": DEVICE,
    "session_id": "session-1",
    "tenant": "bank-1",
    "expected_client_ip": "198.51.100.0/24",
}
#: Parts of addresses and devices that no output or store may hold.
PRIVATE = (ADDRESS, OTHER_ADDRESS, DEVICE, "203.0.113.", "2001:db8", "198.51.100")


def sent(number: int, at_s: float = 0.0, **changes: Any) -> Record:
    """Submission `number`, appended `at_s` seconds after the first."""
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
    """Pipeline whose every analysis is SPOOF."""
    return Pipeline(FakeAnalyser(SPOOF), **changes)


async def five_failures(pipeline: Pipeline, *, first: int = 1, at_s: float = 0.0, **changes: Any) -> list[Output]:
    """Decisions on five failures, a second apart: the fifth brings a pause of half an hour."""
    return [await pipeline.decision(sent(first + n, at_s + n, **changes)) for n in range(5)]


async def fifth_failure(pipeline: Pipeline) -> Output:
    """Detection of the fifth failure, after decisions on four: failures one short of a pause."""
    for number in range(1, 5):
        await pipeline.decision(sent(number, number))
    (detection,) = await pipeline.detect(sent(5, 5))
    return detection


def of_kind(flags: list[Output], kind: str) -> list[dict[str, Any]]:
    return [event for event in map(event_of, flags) if event["kind"] == kind]


__all__ = ["APPENDED_AT_MS", "GUID"]
