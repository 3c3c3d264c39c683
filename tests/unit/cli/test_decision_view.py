"""Decisions as people see them: what tells nothing is left out, and what no worker wrote ends no command."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from config.settings import load
from stream.bootstrap.authentication import open_macs
from stream.cli import tail
from stream.cli.decision_view import _explained
from stream.cli.submit import submitting
from stream.events.authentication.record_mac import NO_MACS
from stream.events.message.messages import Record
from stream.events.topics import Topic
from stream.events.wire.submissions import NewSubmission
from tests.unit.stream.maintenance.test_rebuild_forged import written
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


class Published:
    """Topic of decisions that a stranger writes to, beside a worker."""

    def __init__(self, *records: Record) -> None:
        self._records = records

    async def until_end(self) -> AsyncIterator[Record]:
        for each in self._records:
            yield each

    async def records(self) -> AsyncIterator[Record]:
        async for each in self.until_end():
            yield each
        await asyncio.Event().wait()


def test_others_decisions_put_no_wait_off(capsys, monkeypatch):
    """A busy topic: the wait for a decision that doesn't come ends all the same."""

    class Busy(Published):
        async def records(self) -> AsyncIterator[Record]:
            while True:
                await asyncio.sleep(0)
                yield record(b'{"submission_id": "of somebody else"}')

    async def why(_: object) -> str:
        return "why"

    @asynccontextmanager
    async def opened(*_: Any, **__: Any) -> AsyncIterator[Published]:
        yield Busy()

    for name in ("reader", "producer"):
        monkeypatch.setattr(submitting, name, opened)
    monkeypatch.setattr(submitting, "_why", why)
    waits = submitting._Sending(file=Path("a.jpg"), new=NewSubmission(submission_id="s-1"), outputs=())
    assert asyncio.run(submitting._submit(load(), [waits], True, 0.2, False)) == 1
    assert "no decision within 0.2 s" in capsys.readouterr().err


def test_forged_decisions_are_named(console, capsys, monkeypatch):
    """With record keys a decision is shown if a worker here wrote it; others are named by their place, or passed
    over where a submission waits for its decision."""
    monkeypatch.setenv("LIVENESS_RECORDS__KEYS", '[{"id": "r1", "secret": "%s"}]' % ("s" * 32))
    settings = load()
    (output,) = asyncio.run(Fleet().give(sent(selfie())))
    event = orjson.loads(output.value)
    forged = orjson.dumps({**event, "result": {**event["result"], "verdict": "SPOOF", "outcome": "FAIL"}})
    topic = str(Topic.DECISIONS)
    records = (written(topic, forged, NO_MACS), written(topic, output.value, open_macs(settings)))

    @asynccontextmanager
    async def reader(*_: Any, **__: Any) -> AsyncIterator[Published]:
        yield Published(*records)

    for module in (tail, submitting):
        monkeypatch.setattr(module, "reader", reader)
    monkeypatch.setattr(submitting, "producer", reader)
    new = NewSubmission(submission_id=event["submission_id"], correlation_id=event["correlation_id"])
    waits = submitting._Sending(file=Path("a.jpg"), new=new, outputs=())
    assert asyncio.run(submitting._submit(settings, [waits], True, 1.0, False)) == 0
    asyncio.run(tail._tail(settings, tail.Tailed.DECISIONS, True, False, 0, False))
    shown = console.file.getvalue()
    assert (shown.count("LIVE  "), "SPOOF " in shown.replace("SPOOF below", "")) == (2, False)
    assert "offset 0: the record carries no MAC" in capsys.readouterr().err
    records = records[:1]
    assert asyncio.run(submitting._submit(settings, [waits], True, 0.01, False)) == 1
    assert "1 decisions carry no right MAC" in capsys.readouterr().err
