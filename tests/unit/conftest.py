"""Unit tests have no services, which `make test` relies on.

Property tests: where a run must be repeatable, the examples are the same every time, so that more of them would find
nothing more; elsewhere they are new ones, and more.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from tests.conftest import SERVICE_MARKERS

settings.register_profile(
    "repeatable", deadline=None, max_examples=60, derandomize=True, database=None, print_blob=True
)
settings.register_profile("exploring", deadline=None, max_examples=300)
settings.load_profile("repeatable" if os.environ.get("CI") or os.environ.get("LIVENESS_REQUIRE_REAL") else "exploring")


def pytest_itemcollected(item: pytest.Item) -> None:
    if any(map(item.get_closest_marker, SERVICE_MARKERS)):
        raise pytest.UsageError(f"{item.nodeid}: a test with services is no unit test")
