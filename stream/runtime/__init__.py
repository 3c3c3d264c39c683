"""Basics of every process: clock, retry policy, metrics, logs, health, process settings."""
