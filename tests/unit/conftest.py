"""Unit tests have no services, which `make test` relies on.

Property tests have few examples: the same every time where a run must be repeatable, new ones elsewhere, so that runs
together try many.
"""

from __future__ import annotations

import os
from functools import lru_cache

import pytest
from hypothesis import settings

from abuse.faces import template_protection
from tests.conftest import SERVICE_MARKERS

FEW = {"deadline": None, "max_examples": 60}
settings.register_profile("repeatable", **FEW, derandomize=True, database=None, print_blob=True)
settings.register_profile("exploring", **FEW)
settings.load_profile("repeatable" if os.environ.get("CI") or os.environ.get("LIVENESS_REQUIRE_REAL") else "exploring")

#: Most of what a new pipeline does is making the matrix of its hash key.
template_protection.rotation = lru_cache(64)(template_protection.rotation)


def pytest_itemcollected(item: pytest.Item) -> None:
    if any(map(item.get_closest_marker, SERVICE_MARKERS)):
        raise pytest.UsageError(f"{item.nodeid}: a test with services is no unit test")
