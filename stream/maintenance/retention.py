"""Everything that is kept anywhere: what it is, whose, and for how long. One table, from the settings in force.

A test holds it against the keys that a worker writes: each belongs to a family here and expires no later than it says.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from abuse.event_time import DAY_MS, MS
from abuse.faces.face_index import face_plan
from abuse.faces.redis_face_commands import GONE_TTL_MS
from abuse.keys.redis_key_checks import CHECK_TTL_S
from abuse.ledger.journal import USED_MS, life_ms
from abuse.ledger.redis_ledger import SWITCHES_TTL_S, flags_life_ms
from abuse.links.links import links_life_ms
from abuse.pictures.media_index import media_plan
from abuse.review.redis_audit import ENTRY_TTL_S, HEAD_TTL_S
from abuse.review.redis_erasure import ERASED_TTL_MS
from abuse.subjects import SubjectType
from config.policy import Policy
from config.settings import Settings
from stream.events.topics import TABLE, Topic, topic_name
from stream.maintenance.sweeper import TURN_SWEEPS

#: Session ids of whoever shares a flagged device stand in decisions on others.
SESSIONS_IN_DECISIONS = "decisions on others (session ids)"


class StorePlace(StrEnum):
    MEMORY = "memory"
    KAFKA = "kafka"
    REDIS = "redis"


class Personal(StrEnum):
    """The most that a store holds."""

    NONE = "no"
    #: Ids of the publisher's, or keyed hashes: who has the publisher's records, or the secret, knows whose.
    PSEUDONYMOUS = "pseudonymous"
    #: Raw addresses and devices.
    PERSONAL = "personal"
    BIOMETRIC = "biometric"


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """`life_ms`: how long it is kept `after` something; None: for ever, or (in memory) until then. `erased`: whether
    `subject.erase` reaches what it holds of a correlation id."""

    name: str
    place: StorePlace
    holds: str
    personal: Personal
    life_ms: int | None
    after: str
    erased: bool = False


def stores(settings: Settings, policy: Policy) -> tuple[Store, ...]:
    return (*_MEMORY, *_topics(settings), *_families(settings, policy))


def beyond_erasure(settings: Settings) -> dict[str, int | None]:
    """What `subject.erase` can't reach, and for how many milliseconds after it that is kept."""
    topics: dict[str, int | None] = {store.name: store.life_ms for store in _topics(settings)}
    audit = {f"{settings.redis_prefix}abuse:{name}": ENTRY_TTL_S * MS for name in ("audit", "command")}
    return {**topics, **audit, SESSIONS_IN_DECISIONS: settings.redis.decision_ttl_s * MS}


def _seen(name: str, holds: str) -> Store:
    after = "until the decision, at most the policy's deadlines"
    return Store(
        name=name,
        place=StorePlace.MEMORY,
        holds=holds,
        personal=Personal.BIOMETRIC,
        life_ms=None,
        after=after,
        erased=False,
    )


_MEMORY = (
    _seen("worker", "pictures read ahead, in a worker's memory; no disk"),
    _seen("slots", "the picture under analysis and its template, in a slot's memory and the memory shared with it"),
)

_TOPIC: dict[Topic, tuple[str, Personal]] = {
    Topic.SUBMISSIONS: ("pictures, addresses, devices and ids as they were sent", Personal.BIOMETRIC),
    Topic.DETECTIONS: (
        "what was measured, keyed face prints and picture codes",
        Personal.BIOMETRIC,
    ),
    Topic.DECISIONS: ("decisions: ids, scores, flags, links, keyed subjects", Personal.PSEUDONYMOUS),
    Topic.ABUSE_FLAGS: ("events of flags, with their evidence", Personal.PSEUDONYMOUS),
    Topic.SESSIONS: ("nothing yet", Personal.NONE),
    Topic.COMMANDS: ("what people decided: subjects, who, why", Personal.PSEUDONYMOUS),
    Topic.AUDIT: ("who decided what; receipts of erasures", Personal.PSEUDONYMOUS),
    Topic.DEAD_LETTER: ("records that could not be used, as they were sent: pictures too", Personal.BIOMETRIC),
}


def _topics(settings: Settings) -> tuple[Store, ...]:
    kept = []
    for spec in TABLE:
        holds, personal = _TOPIC[spec.topic]
        kept.append(
            Store(
                name=topic_name(spec.topic, settings.kafka),
                place=StorePlace.KAFKA,
                holds=holds,
                personal=personal,
                life_ms=spec.life_ms,
                after="it was sent, and until the broker's next look",
            )
        )
    return tuple(kept)


def _families(settings: Settings, policy: Policy) -> tuple[Store, ...]:
    """Families of Redis keys, each named by what its keys begin with (up to `:{`, or the whole key)."""
    prefix, limits = settings.redis_prefix, policy.abuse
    decisions_ms, flags_ms = settings.redis.decision_ttl_s * MS, flags_life_ms(limits.flag_ttl_s)
    faces, (stretch, stretches) = face_plan(settings, policy, {}), _stretch(settings.abuse.face_span_h)
    face_ms, face_day_ms = faces.kept_until_ms(faces.span_ms), faces.kept_until_ms(DAY_MS)
    picture_ms = media_plan(policy).life_ms
    journal_ms = max(life_ms(kind) for kind in SubjectType)

    def of(
        name: str,
        holds: str,
        life_ms: int,
        after: str,
        *,
        personal: Personal = Personal.PSEUDONYMOUS,
        kept: bool = False,
    ) -> Store:
        return Store(
            name=f"{prefix}{name}",
            place=StorePlace.REDIS,
            holds=holds,
            personal=personal,
            life_ms=life_ms,
            after=after,
            erased=not kept and personal is not Personal.NONE,
        )

    nobody, print_ = Personal.NONE, Personal.BIOMETRIC
    return (
        of("decision", "decisions, for duplicates", decisions_ms, "it was made"),
        of("decisions-of", "which of them are a correlation id's", decisions_ms, "the last of them"),
        of("probe", "nothing: whether a decision could be kept", decisions_ms, "the last try", personal=nobody),
        of("abuse:journal", "what a subject was seen to do, a line a submission", journal_ms, "its last line"),
        of("abuse:used", "keyed devices and addresses a correlation id used", USED_MS, "the last use"),
        of("abuse:flags", "events of a subject's flags", flags_ms, "the last event"),
        of("abuse:flag", "whose flag it is", flags_ms, "the last event"),
        of("abuse:named", "whose flags name a correlation id as evidence", flags_ms, "the last event"),
        of("abuse:due", "flags by when they expire", flags_ms, "the last event"),
        of("abuse:flag-index", "flags by tenant, severity and time", flags_ms, "the last event"),
        of("abuse:erased", "ids of flags just erased", ERASED_TTL_MS, "the erasure", personal=nobody),
        of("abuse:links", "pairs of submissions with one face or picture", links_life_ms(policy), "the last link"),
        of("abuse:faces", f"keyed face prints, by the {stretch}", face_ms, f"the {stretch} began", personal=print_),
        of("abuse:face-places", f"which {stretches} hold faces", face_day_ms, "the day began", personal=nobody),
        of("abuse:faces-of", "where a correlation id's faces are", face_ms, f"the {stretch} of the last began"),
        of("abuse:faces-gone", "hashes of who was just forgotten", GONE_TTL_MS, "the erasure", kept=True),
        of("abuse:face-tenants", "tenants that have faces", face_day_ms, "the day of its last began", personal=nobody),
        of("abuse:pictures", "keyed hashes of pictures", picture_ms, "the last one", personal=print_),
        of("abuse:picture", "ids and keyed hashes of one picture", picture_ms, "it was seen", personal=print_),
        of("abuse:pictures-of", "which pictures are a correlation id's", picture_ms, "the last one"),
        of("abuse:audit", "audit entries, for the chain", ENTRY_TTL_S * MS, "the command", kept=True),
        of("abuse:audit-head", "where the chain ends", HEAD_TTL_S * MS, "the last command", personal=nobody),
        of("abuse:command", "what a command does or did, for repeats", ENTRY_TTL_S * MS, "the command", kept=True),
        of("abuse:key-check", "check values of hash keys", CHECK_TTL_S * MS, "a worker last started", personal=nobody),
        of("abuse:switches", "what was switched for a tenant", SWITCHES_TTL_S * MS, "the last look", personal=nobody),
        of("abuse:turn", "which worker looks for expired flags", turn_ms(settings), "its last turn", personal=nobody),
    )


def _stretch(hours: int) -> tuple[str, str]:
    """What faces are kept together by: one of them, and several."""
    words = {1: ("hour", "hours"), 24: ("day", "days")}
    return words.get(hours, (f"stretch of {hours} hours", f"stretches of {hours} hours"))


def turn_ms(settings: Settings) -> int:
    return int(TURN_SWEEPS * settings.abuse.sweep_s * MS)
