"""Hash keys in order of time: each is in force from its `since_ms` until the next key's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

KEY_ID = re.compile(r"^[A-Za-z0-9._-]{1,32}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class HashKey:
    """A secret with an id. `since_ms`: UTC milliseconds of event time from which the key is in force."""

    id: str
    secret: bytes = field(repr=False)
    since_ms: int = 0


class KeyPeriods:
    """The keys of an installation. Raises ValueError unless exactly one is in force from 0 and all ids differ."""

    def __init__(self, keys: Sequence[HashKey]) -> None:
        ordered = sorted(keys, key=lambda key: key.since_ms)
        if [key.since_ms for key in ordered if key.since_ms <= 0] != [0]:
            raise ValueError("exactly one key must be in force from 0")
        self._by_id = {key.id: key for key in ordered}
        if len(self._by_id) != len(ordered):
            raise ValueError("two keys have one id")
        self._ordered = ordered

    def of(self, key_id: str) -> HashKey:
        """The key of this id. Raises KeyError for an unknown id, also of a key that was removed."""
        return self._by_id[key_id]

    def in_force(self, at_ms: int) -> HashKey:
        return next(key for key in reversed(self._ordered) if key.since_ms <= max(at_ms, 0))

    def within(self, from_ms: int, until_ms: int) -> list[HashKey]:
        """Every key in force at some time of this stretch, newest first."""
        first = self._ordered.index(self.in_force(from_ms))
        return [key for key in reversed(self._ordered[first:]) if key.since_ms <= max(until_ms, 0)]

    def in_use(self, at_ms: int, reach_ms: int) -> list[HashKey]:
        """The key in force, then every other key in force up to `reach_ms` before or after, newest first."""
        own = self.in_force(at_ms)
        return [own, *(key for key in self.within(at_ms - reach_ms, at_ms + reach_ms) if key.id != own.id)]
