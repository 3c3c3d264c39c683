"""Agents: a record goes through a stage, its outputs are confirmed, and only then it is acknowledged.

`agents` is the way through. `authentic` checks a record's MAC before the stage, `publishing` waits for the broker's
word, `breaker` ends a worker that fails record after record, `caution` and `trial` find and try a record on which the
process itself ends.
"""
