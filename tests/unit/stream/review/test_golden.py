"""Published documents are the same bytes as before; a plan kept by the version before is carried out as it stands."""

from __future__ import annotations

import orjson
import pytest

from abuse.review.audit import command_of
from tests.unit.stream.json_schema import FLAG_SCHEMA, violations
from tests.unit.stream.review.golden_cases import CASES, after, brought_about, golden, prepared

GOLDEN = golden()
PLANNED = [name for name in CASES if GOLDEN[name]["planned"]]


@pytest.mark.parametrize("name", CASES)
async def test_command_brings_about_the_same(name):
    found = await brought_about(CASES[name])
    assert {**found, "planned": None} == {**GOLDEN[name], "planned": None}
    for output in found["outputs"]:
        assert output["topic"] != "flags" or violations(orjson.loads(output["value"]), FLAG_SCHEMA) == []


@pytest.mark.parametrize("name", PLANNED)
async def test_plan_of_the_version_before(name):
    """The worker died once the plan was kept."""
    reviewer, kept = await prepared(CASES[name]), GOLDEN[name]["planned"]
    await reviewer.log.put_if_absent(command_of(orjson.loads(kept)["entry"]), kept.encode())
    outputs = await reviewer.obey(CASES[name].given)
    assert {"planned": kept, **after(reviewer, outputs)} == GOLDEN[name]


@pytest.mark.parametrize("name", PLANNED)
async def test_kept_document_reads_the_same(name):
    """By this version and by the one before, for which a subject without former keys may name none."""
    found = (await brought_about(CASES[name]))["planned"]
    assert found.replace(',"former":[]', "") == GOLDEN[name]["planned"].replace(',"former":[]', "")
