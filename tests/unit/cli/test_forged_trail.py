"""`liveness abuse audit` with record keys: what a stranger adds is said and left out; what is missing is a failure."""

from __future__ import annotations

import asyncio
import json

import orjson
import pytest

from abuse.review.audit import head_after
from config.settings import Settings
from stream.bootstrap.authentication import open_macs
from stream.events.authentication.record_mac import NO_MACS
from stream.events.message.messages import Record
from stream.events.topics import Topic
from tests.unit.abuse.review.test_audit import chain, rehashed
from tests.unit.cli.abuse_cases import run
from tests.unit.stream.maintenance.test_rebuild_forged import written

KEYS = [{"id": "r1", "secret": "s" * 32}]
ENTRIES = chain(3)
MACS = open_macs(Settings.model_validate({"records": {"keys": KEYS}}))
GENUINE = [written(str(Topic.AUDIT), orjson.dumps(entry), MACS) for entry in ENTRIES]
FORGED = [
    written(str(Topic.AUDIT), value, NO_MACS)
    for value in (b"{", orjson.dumps(rehashed(ENTRIES[1], actor="eve")), orjson.dumps(chain(1, "another")[0]))
]
LEFT_OUT, FROM_BEFORE = "warning: left out 3 records", "3 of them carry none: set LIVENESS_RECORDS__UNSIGNED_UNTIL"
#: Records on the topic -> the exit code, and words of the answer.
TRAILS: dict[str, tuple[list[Record], int, list[str]]] = {
    "forged ones": (GENUINE + FORGED, 0, [LEFT_OUT, FROM_BEFORE, "3 entries in 1 chain(s), 0 problem(s)"]),
    "one missing": ([GENUINE[0], GENUINE[2], *FORGED], 1, [LEFT_OUT, "entry 2 is missing"]),
    "its MAC lost": ([*GENUINE[:2], written(str(Topic.AUDIT), GENUINE[2].value or b"", NO_MACS)], 1, ["its last"]),
}


@pytest.mark.parametrize(("records", "code", "words"), TRAILS.values(), ids=TRAILS)
def test_trail(monkeypatch, in_memory, topic, records: list[Record], code: int, words: list[str]) -> None:
    topic += records
    monkeypatch.setenv("LIVENESS_RECORDS__KEYS", json.dumps(KEYS))
    asyncio.run(in_memory.audit.restore(head_after(orjson.dumps(ENTRIES[-1]))))
    result = run("audit")
    assert (result.exit_code, [word for word in words if word not in result.output]) == (code, [])
