"""From findings to flag events, from a reviewer's word to one, and from a subject's events back to its flags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from abuse.event_time import MS, iso8601, milliseconds
from abuse.flags.flags import (
    HIGHEST_LEVEL,
    NEVER_CLEARED,
    Evidence,
    Flag,
    FlagEvent,
    FlagKind,
    FlagRefusal,
    FlagState,
    RefusalKind,
    RuleFinding,
    Severity,
    flag_id,
    window_name,
)
from abuse.flags.mentions import CONFIRMED
from abuse.subjects import Subject, subject_document, subject_from

_LEVEL = "level"
_CLEARED = "cleared"
_UNLINKED = "unlinked"
_EXPIRED = str(FlagState.EXPIRED)
_REVIEWED = (str(FlagState.CONFIRMED), str(FlagState.OVERRIDDEN))


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyName:
    """Which policy made a flag: its name, and the hash of all its values."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A review: a person's decision on flags, with the command, actor and reason behind it."""

    command_id: str
    actor: str
    reason: str
    note: str
    at_ms: int


#: Event name -> stored text (`field_of`, `stored`): the form in which a subject's events are stored.
Fields = Mapping[str, str]


def field_of(event: FlagEvent) -> str:
    return f"{event.flag_id} {event.name}"


def stored(event: FlagEvent) -> str:
    return f"{event.cause} {event.document.decode()}"


def cause_of(text: str) -> str:
    return text.partition(" ")[0]


def document_of(text: str) -> bytes:
    """The published document in a text that `stored` made."""
    return text.partition(" ")[2].encode()


def cleared_field(command_id: str, at_ms: int) -> tuple[str, str]:
    """A subject's field, and its text, by which attempts up to a command no longer count."""
    return f"{_CLEARED} {command_id}", str(at_ms)


def unlinked_field(command_id: str, at_ms: int) -> tuple[str, str]:
    """A subject's field, and its text, by which submissions up to a command link the subject to nobody."""
    return f"{_UNLINKED} {command_id}", str(at_ms)


def raised(
    finding: RuleFinding,
    *,
    tenant: str | None,
    cause: str,
    cleared_at_ms: int,
    enforced: bool,
    policy: PolicyName,
    ttl_s: int,
    held: Fields | None = None,
    standing: str | None = None,
) -> list[FlagEvent]:
    """Events of a finding's flag, one a level up to the level reached, without those `held`: raised, then escalated.
    `standing`: the flag that rises, instead of one of the finding's day."""
    name = standing or flag_id(tenant, finding.kind, finding.subject, window_name(finding.at_ms, cleared_at_ms))
    reached = enumerate(finding.severities, start=1)
    fresh = [(level, severity) for level, severity in reached if f"{name} {_LEVEL} {level}" not in (held or {})]
    if not fresh:
        return []  # the usual case for a busy subject: its evidence is not written out for nothing
    evidence = _evidence(finding.kind, finding.evidence)
    expires_at_ms = finding.at_ms + ttl_s * MS
    events = []
    for level, severity in fresh:
        document = {
            "flag_id": name,
            "kind": finding.kind,
            "tenant": tenant,
            "subject": subject_document(finding.subject),
            "state": FlagState.RAISED if level == 1 else FlagState.ESCALATED,
            "level": level,
            "severity": severity,
            "enforced": enforced,
            "evidence": evidence,
            "refusal": _refusal(finding.refusal if level == len(finding.severities) else None),
            "first_seen": iso8601(finding.first_ms),
            "last_seen": iso8601(finding.at_ms),
            "expires_at": iso8601(expires_at_ms),
            "policy": {"name": policy.name, "hash": policy.sha256},
            "review": None,
            "cause": cause,
            "timestamp": iso8601(finding.at_ms),
        }
        events.append(_event(document, f"{_LEVEL} {level}", finding.subject, expires_at_ms))
    return events


def confirmed(flag: Flag, review: Review, ttl_s: int) -> FlagEvent:
    """The flag's confirmation: enforced from now on whatever its rule says, for a full lifetime again."""
    expires_at_ms = review.at_ms + ttl_s * MS
    refusal = FlagRefusal(kind=RefusalKind.BLOCKED, from_ms=review.at_ms, until_ms=expires_at_ms)
    changed = {"enforced": True, "refusal": _refusal(refusal), "expires_at": iso8601(expires_at_ms)}
    return _reviewed(flag, review, FlagState.CONFIRMED, expires_at_ms, changed)


def rescored(flag: Flag, review: Review, because_of: str) -> FlagEvent | None:
    """The flag's event with a level and a severity more, because a reviewer confirmed the same about the correlation id
    `because_of`. None at the highest level, and for a flag that a reviewer has decided on."""
    level = flag.level + 1
    if level > HIGHEST_LEVEL or flag.state in (FlagState.CONFIRMED, FlagState.OVERRIDDEN):
        return None
    evidence, severities = flag.event["evidence"], list(Severity)
    changed = {
        "state": FlagState.ESCALATED,
        "level": level,
        "severity": severities[min(severities.index(flag.severity) + 1, len(severities) - 1)],
        "evidence": {**evidence, "counts": {**evidence["counts"], CONFIRMED: because_of}},
        "cause": review.command_id,
        "timestamp": iso8601(review.at_ms),
    }
    return _next(flag, f"{_LEVEL} {level}", flag.expires_at_ms, changed)


def overridden(flag: Flag, review: Review) -> FlagEvent:
    return _reviewed(flag, review, FlagState.OVERRIDDEN, flag.expires_at_ms, {"enforced": False, "refusal": None})


def _reviewed(
    flag: Flag, review: Review, state: FlagState, expires_at_ms: int, changed: Mapping[str, Any]
) -> FlagEvent:
    word = {"actor": review.actor, "reason": review.reason, "note": review.note, "command_id": review.command_id}
    at = iso8601(review.at_ms)
    said = {"state": state, "review": {**word, "at": at}, "cause": review.command_id, "timestamp": at}
    return _next(flag, f"{state} {review.command_id}", expires_at_ms, {**changed, **said})


def expired(flag: Flag) -> FlagEvent:
    """The flag's expiry: the same bytes in every worker, at any time. The event is named by the time of expiry, because
    a flag that a reviewer confirms just before its end expires another time."""
    at = iso8601(flag.expires_at_ms)
    changed = {"state": FlagState.EXPIRED, "refusal": None, "cause": _EXPIRED, "expires_at": at, "timestamp": at}
    return _next(flag, _expiry(flag.expires_at_ms), flag.expires_at_ms, changed)


def _next(flag: Flag, name: str, expires_at_ms: int, changed: Mapping[str, Any]) -> FlagEvent:
    """The flag's latest event with some fields changed, `cause` among them."""
    return _event({**flag.event, **changed}, name, flag.subject, expires_at_ms)


def _event(document: Mapping[str, Any], name: str, subject: Subject, expires_at_ms: int) -> FlagEvent:
    return FlagEvent(
        flag_id=document["flag_id"],
        name=name,
        tenant=document["tenant"],
        subject=subject,
        cause=document["cause"],
        expires_at_ms=expires_at_ms,
        document=orjson.dumps(document),
    )


def _expiry(at_ms: int) -> str:
    return f"{_EXPIRED} {at_ms}"


def published(document: bytes) -> FlagEvent:
    """The event of a published document. Raises KeyError, ValueError or TypeError for a document no worker wrote."""
    event = orjson.loads(document)
    state = FlagState(event["state"])
    if state in (FlagState.RAISED, FlagState.ESCALATED):
        name = f"{_LEVEL} {int(event['level'])}"
    else:
        expires_at_ms = milliseconds(event["expires_at"])
        name = _expiry(expires_at_ms) if state is FlagState.EXPIRED else f"{state} {event['cause']}"
    return FlagEvent(
        flag_id=event["flag_id"],
        name=name,
        tenant=event["tenant"],
        subject=subject_from(event["subject"]),
        cause=event["cause"],
        expires_at_ms=milliseconds(event["expires_at"]),
        document=document,
    )


def own_levels(fields: Fields, cause: str) -> list[bytes]:
    """Documents of the levels that the submission `cause` brought about."""
    own = [name for name, text in fields.items() if text.startswith(cause) and cause_of(text) == cause]
    return [document_of(fields[name]) for name in own if f" {_LEVEL} " in name]


def cleared_at(fields: Fields) -> int:
    """Event time up to which a reviewer cleared the subject."""
    return _latest(fields, _CLEARED)


def forgiven_at(fields: Fields) -> int:
    """Event time up to which a reviewer cleared the subject's links, in a decision about all that share them."""
    return _latest(fields, _UNLINKED)


def _latest(fields: Fields, what: str) -> int:
    begins = f"{what} "
    return max([int(text) for name, text in fields.items() if name.startswith(begins)], default=NEVER_CLEARED)


def superseded(fields: Fields, name: str, text: str) -> list[str]:
    """Fields of the same kind as `name` with an earlier time."""
    what = f"{name.partition(' ')[0]} "
    return [other for other, at in fields.items() if other.startswith(what) and int(at) < int(text)]


def flags_from(fields: Fields) -> tuple[Flag, ...]:
    """Every flag of a subject, by id."""
    events: dict[str, dict[str, str]] = {}
    for field, text in fields.items():
        name, _, event = field.partition(" ")
        if name not in (_CLEARED, _UNLINKED):
            events.setdefault(name, {})[event] = text.partition(" ")[2]
    return tuple(_flag(tuple(sorted(events[name].items()))) for name in sorted(events))


@lru_cache(maxsize=1024)
def _flag(texts: tuple[tuple[str, str], ...]) -> Flag:
    """The flag of these events. Cached: a flag is read with every submission of its subject and seldom changes."""
    texts_of = dict(texts)
    events = {name: orjson.loads(text) for name, text in texts if name.startswith((f"{_LEVEL} ", *_REVIEWED))}
    levels = sorted((name for name in events if name.startswith(f"{_LEVEL} ")), key=lambda name: int(name.split()[1]))
    reviews = sorted(
        (name for name in events if name.startswith(_REVIEWED)), key=lambda name: (events[name]["review"]["at"], name)
    )
    ends_ms = [milliseconds(events[name]["expires_at"]) for name in reviews[-1:] or levels]
    ended = sorted(n for n in texts_of if n.startswith(f"{_EXPIRED} ") and int(n.split()[1]) >= max(ends_ms, default=0))
    in_turn = [*levels, *reviews, *ended]
    if reviews and reviews[-1].startswith(FlagState.OVERRIDDEN):
        in_turn = [*levels, *ended, *reviews]  # an override ends the flag, whatever else happened
    documents = [events[name] if name in events else orjson.loads(texts_of[name]) for name in in_turn]
    latest, automatic = documents[-1], [events[name] for name in levels] or documents
    in_force = documents[-1:] if reviews else automatic
    return Flag(
        flag_id=latest["flag_id"],
        kind=FlagKind(latest["kind"]),
        tenant=latest["tenant"],
        subject=subject_from(latest["subject"]),
        state=FlagState(latest["state"]),
        level=max(document["level"] for document in documents),
        severity=Severity(automatic[-1]["severity"]),
        enforced=latest["enforced"],
        first_ms=min(milliseconds(document["first_seen"]) for document in automatic),
        last_ms=max(milliseconds(document["last_seen"]) for document in automatic),
        expires_at_ms=max(milliseconds(document["expires_at"]) for document in in_force),
        refusals=tuple(r for r in (_refusal_from(document["refusal"]) for document in in_force) if r is not None),
        causes=frozenset((document["cause"], milliseconds(document["timestamp"])) for document in automatic),
        documents=tuple(texts_of[name].encode() for name in in_turn),
    )


def _evidence(kind: FlagKind, evidence: Evidence) -> dict[str, Any]:
    return {
        "rule": kind,
        "used": evidence.used,
        "limit": evidence.limit,
        "window_s": evidence.window_s,
        "counts": dict(evidence.counts),
        "linked": [
            {
                "correlation_id": each.correlation_id,
                "session": each.session_id,
                "submission": each.submission_id,
                "when": iso8601(each.at_ms),
                "why": each.why,
            }
            for each in evidence.linked
        ],
    }


def _refusal(refusal: FlagRefusal | None) -> dict[str, str] | None:
    if refusal is None:
        return None
    return {"kind": refusal.kind, "from": iso8601(refusal.from_ms), "until": iso8601(refusal.until_ms)}


def _refusal_from(document: Mapping[str, str] | None) -> FlagRefusal | None:
    if document is None:
        return None
    return FlagRefusal(
        kind=RefusalKind(document["kind"]),
        from_ms=milliseconds(document["from"]),
        until_ms=milliseconds(document["until"]),
    )
