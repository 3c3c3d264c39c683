"""Records of the abuse table's topics, read for a rebuild.

Anybody may have written a record, and a record that no worker could have written would make the table unreadable for
its subject: each reader raises one of `NOT_OURS` for such a record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import orjson
from pydantic import TypeAdapter

from abuse import observation_codec
from abuse.event_time import milliseconds
from abuse.flags.flag_events import field_of, flags_from, published, stored
from abuse.flags.flags import FLAG_ID, HIGHEST_GROWTH, FlagEvent
from abuse.ledger.flag_index import moves_of
from abuse.ledger.journal import attempt_from, attempt_of, line_of
from abuse.ledger.ledger import SESSIONS, Switches
from abuse.links import link_codec
from abuse.links.links import LINKING, Link, in_order, link_from
from abuse.links.links import line_of as line_of_link
from abuse.observation import Observation
from abuse.review.audit import digest, require_entry
from abuse.subjects import HASHED_KEY, Subject, SubjectType, correlation
from config.catalogues.error_codes import ErrorCode
from config.limits.abuse import RULE_NAMES
from stream.events.message.ids import CANONICAL_GUID, REQUEST_ID, SHORT_TEXT, TENANT, SubmissionIds
from stream.pipeline.decision_store import PublishedDecision
from stream.review.kinds.flags import OverrideFlags
from stream.sessions.session_request import SessionDefaults

#: Errors of a reader for a foreign record.
NOT_OURS = (ValueError, KeyError, TypeError, AttributeError)
_IDS = TypeAdapter(SubmissionIds)
_ID_FIELDS = tuple(field.name for field in fields(SubmissionIds))
_SWITCHES = frozenset({"active", "enforced"})


def observation_of(decision: bytes) -> Observation | None:
    """The observation of a decision; None if its submission was not observed."""
    observation = observation_codec.from_decision_bytes(decision)
    if observation is not None:
        for subject in observation.subjects:
            _require_subject(observation.tenant, subject)
        attempt = attempt_of(observation)
        _require(attempt_from(line_of(attempt)) == attempt and attempt.at_ms >= 0 and 0 <= attempt.severity <= 1)
    return observation


def published_of(decision: bytes) -> PublishedDecision:
    """A decision as duplicates must get it again."""
    document = orjson.loads(decision)
    ids = _IDS.validate_json(orjson.dumps({name: document[name] for name in _ID_FIELDS}))
    _require(_matches(REQUEST_ID, document["request_id"]))
    error = document["error"]
    mismatch = error is not None and error["code"] == ErrorCode.DUPLICATE_MISMATCH
    return PublishedDecision(
        ids=ids,
        request_id=document["request_id"],
        decided_at_ms=milliseconds(document["timestamp"]),
        owns=ids.correlation_id is not None and not mismatch,
        decision=decision,
    )


def links_of(decision: bytes) -> tuple[str | None, tuple[Link, ...]]:
    """The tenant, and the links that a decision names; none if its submission was not observed."""
    document = orjson.loads(decision)
    named = (document["abuse"] or {}).get("links")
    if not named:
        return None, ()
    links = tuple(map(link_codec.from_document, named))
    _require(all(type(each.gallery) is int for each in links))
    _require(all(in_order(*each.refs) == each.refs and link_from(line_of_link(each)) == each for each in links))
    for end in (end for each in links for end in each.refs):
        _require_subject(document["tenant"], correlation(end.correlation_id))
        _require(_matches(SHORT_TEXT, end.submission_id) and end.at_ms >= 0)
        _require(end.session_id is None or _matches(SHORT_TEXT, end.session_id))
        _require(isinstance(end.spoof, bool))
    return document["tenant"], links


def flag_event_of(document: bytes) -> FlagEvent:
    event = published(document)
    _require_subject(event.tenant, event.subject)
    _require(_matches(FLAG_ID, event.flag_id) and _matches(SHORT_TEXT, event.cause))
    moves_of(event)  # raises unless the fields are there that the index needs
    (flag,) = flags_from({field_of(event): stored(event)})
    level, evidence = flag.event["level"], flag.event["evidence"]
    _require(type(level) is int and 1 <= level <= HIGHEST_GROWTH and isinstance(flag.event["enforced"], bool))
    _require(all(isinstance(evidence[name], int | float) for name in ("used", "limit", "window_s")))
    return event


def entry_of(value: bytes) -> dict[str, Any]:
    """An audit entry, unchanged."""
    entry: dict[str, Any] = orjson.loads(value)
    require_entry(entry)
    _require(digest(entry) == entry["sha256"])
    return entry


def cleared_of(entry: Mapping[str, Any]) -> Subject | None:
    """The subject cleared by the entry; None if there is none."""
    return _subject(entry, entry["changed"]["cleared"]) if "cleared" in entry["changed"] else None


def unlinked_of(entry: Mapping[str, Any]) -> list[Subject]:
    """Subjects whose submissions up to the entry link them to nobody."""
    changed = entry["changed"]
    flags = [*changed.get("linked", ())]
    if entry["command"] == OverrideFlags.name:
        flags += [flag for flag in changed["flags"] if flag["kind"] in LINKING]
    return [_subject(entry, flag["subject"]) for flag in flags]


def _subject(entry: Mapping[str, Any], document: Mapping[str, Any]) -> Subject:
    subject = Subject(type=SubjectType(document["type"]), key=document["key"])
    _require_subject(entry["tenant"], subject)
    return subject


def switches_of(entry: Mapping[str, Any]) -> Switches | None:
    """The tenant's switches that the entry changed."""
    if "after" not in entry["changed"]:
        return None
    before, after = (_switches(entry["changed"][name]) for name in ("before", "after"))
    return {
        rule: {switch: on for switch, on in each.items() if before.get(rule, {}).get(switch) != on}
        for rule, each in after.items()
    }


def _switches(switches: Switches) -> Switches:
    rules = {rule: each for rule, each in switches.items() if rule != SESSIONS}
    _require(rules.keys() <= set(RULE_NAMES) and all(each.keys() <= _SWITCHES for each in rules.values()))
    _require(all(isinstance(on, bool) for each in rules.values() for on in each.values()))
    SessionDefaults.model_validate(switches.get(SESSIONS, {}))
    return switches


def _require_subject(tenant: str | None, subject: Subject) -> None:
    named = subject.type is SubjectType.CORRELATION_ID
    _require(_matches(CANONICAL_GUID if named else HASHED_KEY, subject.key))
    _require(tenant is None or _matches(TENANT, tenant))


def _matches(pattern: str, value: str) -> bool:
    return re.fullmatch(pattern, value) is not None


def _require(sound: bool) -> None:
    if not sound:
        raise ValueError("a record that no worker could have written")
