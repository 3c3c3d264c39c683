"""The fleet: the living workers of one consumer group, compared by the badge that each leaves in the store.

Workers that differ in policy, release or session keys decide side by side for as long as a deploy takes: that is
said. Workers that differ in key prefix or hash keys look past each other's flags, faces and pictures, and workers that
differ in record keys set aside each other's records: the later one is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from abuse.event_time import MS

#: A worker that left no badge for so long is gone; each leaves one every `RENEW_EVERY_S`.
LIFE_S, RENEW_EVERY_S = 45.0, 10.0
#: Names of workers in one line of words.
MOST_NAMES = 5
CHECK_DIGITS = 6
#: What comes of a conflict.
LOOK_PAST = "workers of one consumer group would not find each other's flags, faces and pictures"
SET_ASIDE = (
    "workers of one consumer group would set aside each other's records; while keys are introduced, "
    "LIVENESS_RECORDS__UNSIGNED_UNTIL must be a time after the last worker has them"
)


class Aspect(StrEnum):
    """Aspect of a badge that the workers of one consumer group have in common."""

    KEY_PREFIX = "key prefix"
    TOPIC_PREFIX = "topic prefix"
    HASH_KEYS = "hash keys"
    RECORD_KEYS = "record keys"
    SIGNATURES = "command signatures"
    SESSION_KEYS = "session keys"
    POLICY = "policy"
    RULES = "abuse rules"
    RELEASE = "release"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class KeyMark:
    """Mark of a hash, record or session key: its id, its check value, and since when it is in force (UTC ms); not the
    secret."""

    since_ms: int
    id: str
    check: str

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since_ms / MS, UTC).isoformat(timespec="seconds") if self.since_ms else ""
        return f"{self.id} ({self.check[:CHECK_DIGITS]})" + (f" since {since}" if since else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """Badge of a worker. `hash_keys` in order of time; None for a worker that hashes nothing, whatever its
    settings say. `record_keys` in order of time; records without a MAC are believed until `unsigned_until_ms`.
    `signatures` says what is asked of commands; None for a worker that reads none. `session_keys` by id, as the
    folder has them now; None for a worker that neither signs nor checks tokens. `began_ms`: by the store's time."""

    name: str
    began_ms: int
    roles: tuple[str, ...]
    key_prefix: str
    topic_prefix: str
    hash_keys: tuple[KeyMark, ...] | None
    policy: str
    rules: str
    release: str
    record_keys: tuple[KeyMark, ...] = ()
    unsigned_until_ms: int = 0
    signatures: str | None = None
    session_keys: tuple[KeyMark, ...] | None = None

    def told(self) -> dict[Aspect, str]:
        """Aspects in words; without hash keys where the worker hashes nothing."""
        told = {
            Aspect.KEY_PREFIX: self.key_prefix,
            Aspect.TOPIC_PREFIX: self.topic_prefix or "none",
            Aspect.POLICY: self.policy,
            Aspect.RULES: self.rules,
            Aspect.RELEASE: self.release,
            Aspect.RECORD_KEYS: _in_words(self.record_keys),
        }
        if self.signatures is not None:
            told[Aspect.SIGNATURES] = self.signatures
        if self.session_keys is not None:
            told[Aspect.SESSION_KEYS] = _in_words(self.session_keys)
        if self.hash_keys is not None:
            told[Aspect.HASH_KEYS] = _in_words(self.hash_keys)
        return told


class RollCall(Protocol):
    """The port: badges of the living workers of one consumer group, whatever their settings are.

    Calls raise `config.errors.Unavailable` and may be repeated then.
    """

    async def sign(self, ours: Badge) -> Sequence[Badge]:
        """Leave ours for `LIFE_S`, return those of all living workers. Called by the watch, now and again."""

    async def living(self) -> Sequence[Badge]:
        """Badges of all living workers. Called by a command of people. Changes nothing."""

    async def leave(self, name: str) -> None:
        """Remove the badge of a worker that ends. Called by the watch."""


def differences(fleet: Sequence[Badge]) -> dict[Aspect, str]:
    """Differences of living workers, in words: each value with the workers that have it."""
    found = {}
    for aspect in Aspect:
        having: dict[str, list[str]] = {}
        for each in sorted(fleet, key=lambda each: each.name):
            if (value := each.told().get(aspect)) is not None:
                having.setdefault(value, []).append(each.name)
        if len(having) > 1:
            found[aspect] = "; ".join(f"{value} on {_named(names)}" for value, names in sorted(having.items()))
    return found


def conflict(ours: Badge, other: Badge, now_ms: int) -> str | None:
    """Conflict that keeps two workers apart, in words; None for two that may decide side by side."""
    if ours.key_prefix != other.key_prefix:
        return f"redis.key_prefix is {ours.key_prefix} here, and {other.key_prefix} on {other.name}: {LOOK_PAST}"
    if not _believe_each_other(ours, other, now_ms):
        here, there = _in_words(ours.record_keys), _in_words(other.record_keys)
        return f"records.keys are {here} here, and {there} on {other.name}: {SET_ASIDE}"
    if ours.hash_keys is None or other.hash_keys is None or _in_rotation(ours.hash_keys, other.hash_keys, now_ms):
        return None
    here, there = _in_words(ours.hash_keys), _in_words(other.hash_keys)
    return f"abuse.hash_keys are {here} here, and {there} on {other.name}: {LOOK_PAST}"


def conflicts(fleet: Sequence[Badge], now_ms: int) -> list[str]:
    """Conflicts of living workers, in words, each later worker against the first."""
    ordered = sorted(fleet, key=lambda each: (each.began_ms, each.name))
    told = ((each.name, conflict(each, ordered[0], now_ms)) for each in ordered[1:])
    return [f"{name}: {words}" for name, words in told if words]


def _believe_each_other(ours: Badge, other: Badge, now_ms: int) -> bool:
    """Whether each takes the other's records. Beside a worker without keys, one with keys believes unsigned records."""
    if ours.record_keys and other.record_keys:
        return _in_rotation(ours.record_keys, other.record_keys, now_ms)
    return all(not each.record_keys or now_ms < each.unsigned_until_ms for each in (ours, other))


def _in_rotation(ours: Sequence[KeyMark], theirs: Sequence[KeyMark], now_ms: int) -> bool:
    """Whether two sets of keys are one, or two steps of a rotation: one contains the other, and the same key is in
    force in both."""
    if ours == theirs:
        return True
    if not ours or not theirs:
        return False
    here, there = ({(key.id, key.check) for key in keys} for keys in (ours, theirs))
    return (here <= there or there <= here) and _in_force(ours, now_ms) == _in_force(theirs, now_ms)


def _in_force(keys: Sequence[KeyMark], now_ms: int) -> tuple[str, str] | None:
    return next(((key.id, key.check) for key in sorted(keys, reverse=True) if key.since_ms <= now_ms), None)


def _in_words(keys: Sequence[KeyMark]) -> str:
    return ", ".join(map(str, keys)) or "none"


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMES])
    return shown if len(names) <= MOST_NAMES else f"{shown} and {len(names) - MOST_NAMES} more"
