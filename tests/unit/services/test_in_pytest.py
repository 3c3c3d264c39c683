"""The ladder as a run of pytest shows it: on a machine without any services."""

from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]

CONFTEST = """
import tests.conftest as ours
from tests.services.choice import NotAvailable, Rung

def missing():
    raise NotAvailable("not on this machine")

ours.starters = lambda environment: {rung: missing for rung in Rung}
from tests.conftest import *
"""

TESTS = """
import os, socket, pytest

@pytest.mark.real
def test_real(services):
    pass

@pytest.mark.local_services
def test_local():
    pytest.skip("no Java")

def test_unmarked():
    assert "LIVENESS_REDIS__URL" not in os.environ
    with pytest.raises(AssertionError, match="may not connect"):
        socket.create_connection(("127.0.0.1", 6379))

@pytest.mark.skip(reason="for another reason")
def test_other():
    pass
"""

CONFIGURATION = """
[pytest]
addopts = --strict-markers -ra
asyncio_default_fixture_loop_scope = function
markers =
    real: .
    embedded: .
    local_services: .
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)
    pytester.makefile(".ini", pytest=CONFIGURATION)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("LIVENESS_REDIS__URL", "redis://127.0.0.1:6379/0")
    return pytester


def test_without_services_real_tests_skip_and_say_why(run: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIVENESS_REQUIRE_REAL", raising=False)
    result = run.runpytest_subprocess()
    result.assert_outcomes(passed=1, skipped=3)
    result.stdout.fnmatch_lines(["*skipped without them*", "services: no real ones"])
    result.stdout.fnmatch_lines(["*not local services (deploy/local): not on this machine*"])


def test_rungs_left_out_are_named(run: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIVENESS_REQUIRE_REAL", raising=False)
    result = run.runpytest_subprocess("--highest-rung", "embedded", "-k", "real or local")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*not containers: left out by --highest-rung*"])


def test_required_services_that_are_missing_fail_their_tests(
    run: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVENESS_REQUIRE_REAL", "1")
    result = run.runpytest_subprocess()
    outcomes = result.parseoutcomes()
    assert outcomes.pop("passed") == 1
    assert outcomes.pop("skipped") == 1, "a skip for another reason stays one"
    assert sum(outcomes.get(name, 0) for name in ("failed", "errors", "error")) == 2
    result.stdout.fnmatch_lines(["*LIVENESS_REQUIRE_REAL is set, but: *no Java*"])
    assert result.ret == 1
