"""Kafka and Redis for tests: the highest service tier that answers.

The path: `choice` (which tier, and why not a higher one; pure) -> `starters` (one a tier) -> `session` (started once a
run, closed at its end) -> `guard` (a test that declared nothing reaches nothing). `tests/conftest.py` connects them to
pytest; `tests/README.md` tells how a test declares the lowest tier it accepts.
"""
