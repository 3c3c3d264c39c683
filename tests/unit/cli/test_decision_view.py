"""Decisions as people see them: what tells nothing is left out, and what no worker wrote ends no command."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from stream.cli import tail
from stream.cli.decision_view import _explained
from stream.cli.submit import submitting
from tests.unit.stream.pipeline.join_cases import Fleet, selfie, sent
from tests.unit.stream.review.command_cases import record

#: Changes of a decision's result.
FORGED: dict[str, dict[str, Any]] = {
    "words for a number": {"confidence": "x"},
    "no number has so much room": {"signals": [{"score": 1e300}]},
    "more than memory": {"signals": [{"score": 1e10}]},
    "nothing": {"signals": None},
}


@pytest.mark.parametrize(
    ("code", "weight", "shown"),
    [
        ("capture_not_attested", 0.0, False),
        ("capture_not_attested", 1.0, True),
        ("captured_by_web", 0.0, True),
        ("screen_size", 0.5, True),
    ],
)
def test_indications(code, weight, shown):
    """A capture that need not be attested is nothing to look at; one that must be is."""
    told = {"code": code, "weight": weight, "detail": "words of the check"}
    lines = _explained({"injection": {"verdict": "Live", "indications": [told]}})
    assert ["words of the check" in each.plain for each in lines] == [True] * shown


@pytest.fixture
def console(monkeypatch) -> Console:
    made = Console(file=io.StringIO(), width=200)
    for module in (tail, submitting):
        monkeypatch.setattr(module, "out", made)
    return made


@pytest.mark.parametrize("changed", FORGED.values(), ids=FORGED)
def test_decision_that_no_worker_wrote(console, capsys, changed):
    (output,) = asyncio.run(Fleet().give(sent(selfie())))
    event = orjson.loads(output.value)
    signals = [{**event["result"]["signals"][0], **each} for each in changed.get("signals") or ()]
    event["result"] |= changed | ({"signals": signals} if signals else {})
    value = orjson.dumps(event)
    tail._print(tail.Tailed.DECISIONS, replace(record(value), value=value), False, 0.1)
    submitting._answered(value, {event["submission_id"]: Path("a.jpg")}, False, 0.1)
    shown = console.file.getvalue()
    assert len(shown) < 20_000
    assert ("LIVE" in shown) or ("no decision" in capsys.readouterr().err)
