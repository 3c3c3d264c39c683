"""Property tests: where a run must be repeatable, the examples are the same every time."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("repeatable", deadline=None, derandomize=True, database=None, print_blob=True)
settings.register_profile("exploring", deadline=None)
settings.load_profile("repeatable" if os.environ.get("CI") or os.environ.get("LIVENESS_REQUIRE_REAL") else "exploring")
