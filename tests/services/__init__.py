"""Where a test's Kafka and Redis come from: a ladder, climbed from the top until a rung holds.

The path: `choice` (which rung, and why not a higher one; pure) -> `rungs` (one starter a rung) -> `session`
(started once for a run, closed at its end) -> `guard` (a test that declared nothing reaches nothing).
`tests/conftest.py` connects it to pytest; `tests/README.md` tells how a test declares its lowest rung.
"""
