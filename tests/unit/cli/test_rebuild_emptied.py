"""`liveness abuse rebuild` where Redis loses its content once more meanwhile: workers don't go on with half of it."""

from __future__ import annotations

import pytest

from stream.cli.abuse import rebuilding
from stream.maintenance.rebuild import Rebuilt
from stream.runtime.patience import DependencyTimeout
from tests.unit.cli.abuse_cases import run


@pytest.mark.parametrize("contents", [("one", "one"), ("one", "another")])
def test_rebuilt(in_memory, monkeypatch, contents):
    async def run_it(self) -> Rebuilt:
        return Rebuilt(decisions=7)

    monkeypatch.setattr(rebuilding.Rebuild, "run", run_it)
    monkeypatch.setattr(rebuilding, "replace", lambda made, **_: made)
    in_memory.content.told.side_effect = contents
    ran, is_one = run("rebuild"), len(set(contents)) == 1
    assert in_memory.mark_rebuilt.await_count == is_one
    assert ("7 decisions" in ran.output) is is_one
    assert isinstance(ran.exception, DependencyTimeout) is not is_one
