"""Service tiers in pytest: services for marked tests, none for unmarked ones, and the report of a run."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.photographs import NO_PHOTOGRAPHS
from tests.services.choice import Chosen, Services, ServiceTier, capped
from tests.services.guard import SocketGuard
from tests.services.session import ServiceTiers
from tests.services.starters import starters

pytest_plugins = ["pytester", "tests.e2e.fixtures", "tests.embedded_redis"]

REQUIRE_REAL = "LIVENESS_REQUIRE_REAL"
REAL_MARKERS = ("real", "local_services")
SERVICE_MARKERS = (*REAL_MARKERS, "embedded")
TESTS = Path(__file__).parent
ONLY_WITH_SERVICES = tuple(f"{TESTS / folder}/" for folder in ("faults", "integration", "secure"))
#: Variables that lead to no service: where things are kept, and what the machine has for tests.
KEPT = frozenset(
    {REQUIRE_REAL, "LIVENESS_CACHE_DIR", "LIVENESS_REDIS_SERVER"}
    | {
        "LIVENESS_TEST_IMAGES",
        "LIVENESS_TEST_MODELS",
        "LIVENESS_TEST_ATTACKS",
        "LIVENESS_SLOT_STDERR",
        "LIVENESS_MODEL_MIRROR",
    }
)

_tiers = pytest.StashKey[ServiceTiers]()
_guard = pytest.StashKey[SocketGuard]()
#: Lines that the processes of `pytest -n` tell of their services.
_told = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--highest-tier",
        choices=[tier.name.lower() for tier in ServiceTier],
        default=ServiceTier.ADDRESSES.name.lower(),
        help="leave out higher tiers of services, to see what a bare machine would do",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Take the service settings out of the environment: tests get them from a service tier, or not at all.

    A run that leaves its tests to workers of pytest-xdist keeps them, since the workers inherit its environment.
    Collecting makes objects that stay: looking for garbage among them took a quarter of its time.
    """
    gc.disable()
    # As in `make test`: no test's process compiles the product anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    config.stash[_tiers] = ServiceTiers(capped(starters(dict(os.environ)), _highest(config)))
    config.stash[_guard] = SocketGuard()
    config.stash[_told] = []
    if getattr(config.option, "numprocesses", None):
        return
    for name in [name for name in os.environ if name.startswith("LIVENESS_") and name not in KEPT]:
        del os.environ[name]
    # Whatever `liveness models fetch` left on the machine: tests of presentation-attack networks name theirs.
    os.environ["LIVENESS_DETECTION__PAD_NETWORKS"] = "[]"


def pytest_unconfigure(config: pytest.Config) -> None:
    if _tiers in config.stash:
        config.stash[_tiers].close()


def pytest_report_header() -> str:
    wanted = "required" if real_required() else "skipped without them"
    return f"services: found when the first test needs them; tests of real ones are {wanted}"


def pytest_itemcollected(item: pytest.Item) -> None:
    """`make test` doesn't look into some folders for tests without services."""
    if str(item.path).startswith(ONLY_WITH_SERVICES) and not any(map(item.get_closest_marker, SERVICE_MARKERS)):
        raise pytest.UsageError(f"{item.nodeid}: a test without services belongs into another folder")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come first: at the end, when a process may find nothing left to do, the other works on a short one."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadscope` every test goes to the process that is free first, but tests of a Redis Cluster, of the
    pair with TLS and of the pair that `deploy/local` starts go to one each."""
    from xdist.scheduler import LoadScopeScheduling

    class ByServices(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = PurePosixPath(nodeid.partition("::")[0])
            if "[cluster" in nodeid or file.name == "test_redis_cluster.py":
                return "cluster"
            return file.parent.name if file.parent.name == "secure" or file.name == "test_local_services.py" else nodeid

    return ByServices(config, log) if config.getoption("dist") == "loadscope" else None


def pytest_collection_finish() -> None:
    """Objects that were imported and collected are looked through for garbage no more: a tenth of the tests' time."""
    gc.freeze()
    gc.enable()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["services"] = list(session.config.stash[_tiers].report())


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Keep what a process of pytest-xdist tells; a crashed one tells nothing."""
    told = getattr(node, "workeroutput", {}).get("services", ())
    node.config.stash[_told] += [line for line in told if line not in node.config.stash[_told]]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    terminalreporter.section("services")
    for line in config.stash[_told] or config.stash[_tiers].report():
        terminalreporter.line(line)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if not any(item.get_closest_marker(name) for name in SERVICE_MARKERS):
        item.config.stash[_guard].on()
    elif item.get_closest_marker("real"):
        _held(item.config.stash[_tiers].real())
    elif item.get_closest_marker("local_services") and _highest(item.config) < ServiceTier.LOCAL:
        pytest.skip("no local services: left out by --highest-tier")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    item.config.stash[_guard].off()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """A skip for want of real services becomes a failure where real services are required."""
    report = yield
    needs_real = any(item.get_closest_marker(name) for name in REAL_MARKERS)
    skipped = report.skipped and needs_real and real_required() and not hasattr(report, "wasxfail")
    if skipped and NO_PHOTOGRAPHS not in report.longrepr[2]:
        report.outcome = "failed"
        report.longrepr = f"{REQUIRE_REAL} is set, but: {report.longrepr[2]}"
    return report


def real_required() -> bool:
    return os.environ.get(REQUIRE_REAL, "") not in ("", "0")


def _highest(config: pytest.Config) -> ServiceTier:
    return ServiceTier[config.getoption("--highest-tier").upper()]


def _held(chosen: Chosen) -> Services:
    if chosen.services is None:
        pytest.skip(f"no real services: {chosen.why}")
    return chosen.services


@pytest.fixture
def services(request: pytest.FixtureRequest) -> Iterator[Services]:
    """Kafka and Redis of the highest tier there is, not below the one that the test's marker accepts."""
    tiers = request.config.stash[_tiers]
    if request.node.get_closest_marker("real"):
        yield _held(tiers.real())
    elif request.node.get_closest_marker("embedded"):
        yield _held(tiers.any())
    else:
        pytest.fail("a test that uses services says which it accepts: mark it `real` or `embedded`")
