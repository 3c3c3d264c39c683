"""Check values of hash keys: does every worker use the same secret under a key id?

A wrong secret hashes addresses and rotates templates as well as the right one, but nothing that other workers stored
is found again. So the first worker under a key id stores a check value, an HMAC of a fixed label with the secret, and
every later worker compares. The value reveals nothing about the secret.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from abuse.keys.key_periods import HashKey
from config.environment import HASH_KEYS_VARIABLE
from config.errors import SettingsError

LABEL = b"liveness hash key check 1"
#: Hex digits of a check value: 64 bits, enough that two secrets never share one.
LENGTH = 16


class KeyChecks(Protocol):
    """The port: check values by key id. Calls raise `config.errors.Unavailable`, and may be repeated then."""

    async def put_if_absent(self, values: Mapping[str, str]) -> Mapping[str, str]:
        """Store a check value per key id if absent, refresh the expiry of existing ones, return the stored values.
        Called by `agree` at a worker's start. May be repeated."""

    async def peek(self, key_ids: Collection[str]) -> Mapping[str, str]:
        """The stored values; key ids without a value are left out. Called by `require_same`. Changes nothing."""

    def location(self, key_id: str) -> str:
        """The name to delete before another secret is accepted; for an error message."""


async def agree(checks: KeyChecks, keys: Iterable[HashKey]) -> None:
    """Make sure that a process which writes under these keys has the secrets of the first that did. Raises
    SettingsError, without any secret."""
    ours = _values(keys)
    _compare(checks, ours, await checks.put_if_absent(ours))


async def require_same(checks: KeyChecks, keys: Iterable[HashKey]) -> None:
    """As `agree`, for a process that only reads. Stores no value: a mistyped secret would become the right one."""
    ours = _values(keys)
    _compare(checks, ours, await checks.peek(ours))


def check_value(key: HashKey) -> str:
    return hmac.new(key.secret, LABEL, hashlib.sha256).hexdigest()[:LENGTH]


def _values(keys: Iterable[HashKey]) -> dict[str, str]:
    return {key.id: check_value(key) for key in keys}


def _compare(checks: KeyChecks, ours: Mapping[str, str], stored: Mapping[str, str]) -> None:
    for key_id, value in ours.items():
        if stored.get(key_id, value) != value:
            raise SettingsError(
                f"{HASH_KEYS_VARIABLE}: the secret of key {key_id} is not the one used under this id before. Set that "
                f"one, or give a new secret an id of its own; if this one is right, delete the Redis key "
                f"{checks.location(key_id)} and start again"
            )


class InMemoryKeyChecks:
    """The fake."""

    def __init__(self) -> None:
        self.stored: dict[str, str] = {}

    async def put_if_absent(self, values: Mapping[str, str]) -> Mapping[str, str]:
        return {key_id: self.stored.setdefault(key_id, value) for key_id, value in values.items()}

    async def peek(self, key_ids: Collection[str]) -> Mapping[str, str]:
        return {key_id: self.stored[key_id] for key_id in key_ids if key_id in self.stored}

    def location(self, key_id: str) -> str:
        return key_id
