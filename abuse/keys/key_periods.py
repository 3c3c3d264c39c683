"""Which of several secret keys counts when: each from its `since_ms` (event time) until the next one's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

KEY_ID = re.compile(r"^[A-Za-z0-9._-]{1,32}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class HashKey:
    """A secret in force from `since_ms` (UTC milliseconds, event time) until the next one's."""

    id: str
    secret: bytes = field(repr=False)
    since_ms: int = 0


class KeyPeriods:
    """Raises ValueError unless exactly one key is in force from the beginning of time, and ids are their own."""

    def __init__(self, keys: Sequence[HashKey]) -> None:
        ordered = sorted(keys, key=lambda key: key.since_ms)
        if [key.since_ms for key in ordered if key.since_ms <= 0] != [0]:
            raise ValueError("exactly one key must be in force from 0")
        self._by_id = {key.id: key for key in ordered}
        if len(self._by_id) != len(ordered):
            raise ValueError("two keys have one id")
        self._ordered = ordered

    def of(self, key_id: str) -> HashKey:
        """Raises KeyError for a key that is not (or no longer) among them."""
        return self._by_id[key_id]

    def in_force(self, at_ms: int) -> HashKey:
        return next(key for key in reversed(self._ordered) if key.since_ms <= max(at_ms, 0))

    def within(self, from_ms: int, until_ms: int) -> list[HashKey]:
        """Every key in force at some time of this stretch, newest first."""
        first = self._ordered.index(self.in_force(from_ms))
        return [key for key in reversed(self._ordered[first:]) if key.since_ms <= max(until_ms, 0)]
