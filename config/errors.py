"""Errors that lower rooms raise and upper rooms catch: a dependency that is away, settings that can't be used."""

from __future__ import annotations


class Unavailable(Exception):
    """A dependency is away for now: wait and try again. `dependency` is "redis" or "kafka"."""

    def __init__(self, dependency: str, fault: str) -> None:
        super().__init__(f"{dependency}: {fault}")
        self.dependency = dependency
        self.fault = fault


class SettingsError(Exception):
    """The settings can't be used; the message names each key and what is wrong with it, and no value."""
