"""Service tiers in a run of pytest on a machine without any services."""

from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]

CONFTEST = """
import tests.conftest as ours
from tests.services.choice import NotAvailable, ServiceTier

def missing():
    raise NotAvailable("not on this machine")

ours.starters = lambda environment: {tier: missing for tier in ServiceTier}
from tests.conftest import *
pytest_plugins = []  # fixtures of whole workers take seconds to import
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
    monkeypatch.delenv("LIVENESS_REQUIRE_REAL", raising=False)
    return pytester


def test_without_services(run: pytest.Pytester) -> None:
    """Tests of real services are skipped with the reason, as a process of pytest-xdist tells; an unmarked one reaches
    nothing."""
    result = run.runpytest_subprocess("-n", "1", "--dist", "loadscope")
    result.assert_outcomes(passed=1, skipped=3)
    result.stdout.fnmatch_lines(["*skipped without them*", "services: no real ones"])
    result.stdout.fnmatch_lines(["*not local services (deploy/local): not on this machine*"])


def test_required_services_fail_tests(run: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A skip for another reason stays one; tiers left out are named."""
    monkeypatch.setenv("LIVENESS_REQUIRE_REAL", "1")
    result = run.runpytest_subprocess("--highest-tier", "local")
    outcomes = result.parseoutcomes()
    assert (outcomes.pop("passed"), outcomes.pop("skipped"), result.ret) == (1, 1, 1)
    assert sum(outcomes.get(name, 0) for name in ("failed", "errors", "error")) == 2
    result.stdout.fnmatch_lines(["*LIVENESS_REQUIRE_REAL is set, but: *no Java*"])
    result.stdout.fnmatch_lines(["*not containers: left out by --highest-tier*"])
