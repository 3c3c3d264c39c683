"""Retention: every store in memory, on topics and in Redis, whose data it holds, and for how long.

One table, from the settings in force. The rows of Redis follow from the store records.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from abuse.event_time import MS
from abuse.store_record import Erasing, Personal, Wording
from config.policy import Policy
from config.settings import Settings
from stream.events.topics import TABLE, Topic, topic_name
from stream.maintenance.store_records import RECORDS

__all__ = ["Personal", "Store", "StorePlace", "beyond_erasure", "stores"]

#: Session ids of people who share a flagged device stand in decisions on each other.
SESSIONS_IN_DECISIONS = "decisions on others (session ids)"


class StorePlace(StrEnum):
    MEMORY = "memory"
    KAFKA = "kafka"
    REDIS = "redis"


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A store is kept for `life_ms` `after` something; None: for ever, or (in memory) until then. `erased`: whether
    `subject.erase` reaches what the store holds of a correlation id."""

    name: str
    place: StorePlace
    holds: str
    personal: Personal
    life_ms: int | None
    after: str
    erased: bool = False


def stores(settings: Settings, policy: Policy) -> tuple[Store, ...]:
    return (*_MEMORY, *_topics(settings), *_keys(settings, policy))


def beyond_erasure(settings: Settings, policy: Policy) -> dict[str, int | None]:
    """Stores that `subject.erase` can't reach or keeps, and for how many milliseconds after it; None: for ever."""
    topics: dict[str, int | None] = {store.name: store.life_ms for store in _topics(settings)}
    kept = {record.name for record in RECORDS if record.erasing is Erasing.KEPT}
    prefix = settings.redis_prefix
    keys = {each.name: each.life_ms for each in _keys(settings, policy) if each.name.removeprefix(prefix) in kept}
    return {**topics, **keys, SESSIONS_IN_DECISIONS: settings.redis.decision_ttl_s * MS}


_DECIDED = "until the decision, at most the policy's deadlines"
_MEMORY = tuple(
    Store(name=name, place=StorePlace.MEMORY, holds=holds, personal=personal, life_ms=None, after=after)
    for name, holds, personal, after in (
        ("worker", "pictures read ahead, in a worker's memory; no disk", Personal.BIOMETRIC, _DECIDED),
        (
            "slots",
            "the picture under analysis and its template, in a slot's memory and the memory shared with it",
            Personal.BIOMETRIC,
            _DECIDED,
        ),
        (
            "flags",
            "events of flags and ids of clusters read lately, in a worker's memory",
            Personal.PSEUDONYMOUS,
            "until others take their place, at most as long as the worker runs",
        ),
    )
)

_TOPIC: dict[Topic, tuple[str, Personal]] = {
    Topic.SUBMISSIONS: ("pictures, addresses, devices and ids as they were sent", Personal.BIOMETRIC),
    Topic.DETECTIONS: ("what was measured, protected face templates and keyed image hashes", Personal.BIOMETRIC),
    Topic.DECISIONS: ("decisions: ids, scores, flags, links, keyed subjects", Personal.PSEUDONYMOUS),
    Topic.ABUSE_FLAGS: ("events of flags, with their evidence", Personal.PSEUDONYMOUS),
    Topic.SESSIONS: ("sessions: ids, states, results; tokens, which live a day at most", Personal.PSEUDONYMOUS),
    Topic.SESSION_IMAGES: (
        "the best picture of a session that asks for one, encrypted to its tenant",
        Personal.BIOMETRIC,
    ),
    Topic.COMMANDS: (
        "what people decided: subjects, who, why; sessions asked for, with addresses and devices",
        Personal.PERSONAL,
    ),
    Topic.AUDIT: ("who decided what; receipts of erasures", Personal.PSEUDONYMOUS),
    Topic.DEAD_LETTER: ("records that could not be used, as they were sent: pictures too", Personal.BIOMETRIC),
}


def _topics(settings: Settings) -> tuple[Store, ...]:
    return tuple(
        Store(
            name=topic_name(spec.topic, settings.kafka),
            place=StorePlace.KAFKA,
            holds=_TOPIC[spec.topic][0],
            personal=_TOPIC[spec.topic][1],
            life_ms=spec.life_ms,
            after="it was sent, and until the broker's next look",
        )
        for spec in TABLE
    )


def _keys(settings: Settings, policy: Policy) -> tuple[Store, ...]:
    """Families of Redis keys, each named by what its keys begin with (up to `:{`, or the whole key)."""

    def in_words(wording: Wording) -> str:
        return wording if isinstance(wording, str) else wording(settings)

    return tuple(
        Store(
            name=f"{settings.redis_prefix}{record.name}",
            place=StorePlace.REDIS,
            holds=in_words(record.holds),
            personal=record.personal,
            life_ms=record.life_ms if isinstance(record.life_ms, int) else record.life_ms(settings, policy),
            after=in_words(record.after),
            erased=record.erased,
        )
        for record in RECORDS
    )
