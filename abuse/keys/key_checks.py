"""Is a secret the one that everybody uses under its key id?

Nothing shows a wrong secret by itself: it hashes addresses and turns faces as well as the right one does, and what it
makes is found by nobody. So whoever is first under a key id leaves a value that only this secret gives, an HMAC of it
over a fixed label, and whoever comes later compares. It tells nothing of the secret but that.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from abuse.keys.key_periods import HashKey
from config.errors import SettingsError
from config.settings import HASH_KEYS_VARIABLE

LABEL = b"liveness hash key check 1"
#: Hex digits kept: 64 bits, enough that two secrets never look the same.
LENGTH = 16


class KeyChecks(Protocol):
    """Where the values are, by key id."""

    async def put_if_absent(self, values: Mapping[str, str]) -> Mapping[str, str]:
        """Keep each unless its key id has one, which lives anew; what stands now. May be repeated."""

    async def peek(self, key_ids: Collection[str]) -> Mapping[str, str]:
        """What stands; key ids without a value are left out. Changes nothing."""

    def place(self, key_id: str) -> str:
        """What to delete for another secret to be taken."""


async def agree(checks: KeyChecks, keys: Iterable[HashKey]) -> None:
    """For who writes under these keys: the first one's secrets count. Raises SettingsError, without any secret."""
    ours = _values(keys)
    _compare(checks, ours, await checks.put_if_absent(ours))


async def require_same(checks: KeyChecks, keys: Iterable[HashKey]) -> None:
    """For who only looks: as `agree`, and leaves no value, which would make a mistyped secret the one that counts."""
    ours = _values(keys)
    _compare(checks, ours, await checks.peek(ours))


def check_value(key: HashKey) -> str:
    return hmac.new(key.secret, LABEL, hashlib.sha256).hexdigest()[:LENGTH]


def _values(keys: Iterable[HashKey]) -> dict[str, str]:
    return {key.id: check_value(key) for key in keys}


def _compare(checks: KeyChecks, ours: Mapping[str, str], standing: Mapping[str, str]) -> None:
    for key_id, value in ours.items():
        if standing.get(key_id, value) != value:
            raise SettingsError(
                f"{HASH_KEYS_VARIABLE}: the secret of key {key_id} is not the one used under this id before. Set that "
                f"one, or give a new secret an id of its own; if this one is right, delete the Redis key "
                f"{checks.place(key_id)} and start again"
            )


class InMemoryKeyChecks:
    """The fake."""

    def __init__(self, standing: Mapping[str, str] | None = None) -> None:
        self.standing = dict(standing or {})

    async def put_if_absent(self, values: Mapping[str, str]) -> Mapping[str, str]:
        return {key_id: self.standing.setdefault(key_id, value) for key_id, value in values.items()}

    async def peek(self, key_ids: Collection[str]) -> Mapping[str, str]:
        return {key_id: self.standing[key_id] for key_id in key_ids if key_id in self.standing}

    def place(self, key_id: str) -> str:
        return key_id
