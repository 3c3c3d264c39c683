"""Unit tests have no services, which `make test` relies on.

Property tests: where a run must be repeatable, the examples are the same every time.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from tests.conftest import SERVICE_MARKERS

settings.register_profile("repeatable", deadline=None, derandomize=True, database=None, print_blob=True)
settings.register_profile("exploring", deadline=None)
settings.load_profile("repeatable" if os.environ.get("CI") or os.environ.get("LIVENESS_REQUIRE_REAL") else "exploring")


def pytest_itemcollected(item: pytest.Item) -> None:
    if any(map(item.get_closest_marker, SERVICE_MARKERS)):
        raise pytest.UsageError(f"{item.nodeid}: a test with services is no unit test")
