"""Abuse knowledge across submissions: retries, attack patterns, address risk, reuse. Nothing is here yet.

It will observe verdicts between `stream.verdict` and publishing, and know neither detectors, Kafka nor Faust.
"""
