"""Erased subjects by their receipts, for a rebuild from topics that still hold what was erased. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from abuse.event_time import milliseconds
from abuse.flags.flags import FlagEvent
from abuse.flags.mentions import confirmed_id, left_with
from abuse.links.links import Link
from abuse.observation import Observation
from abuse.review.erasure import digest_of
from abuse.subjects import Subject, correlation


@dataclass(slots=True)
class Erased:
    """The time up to which each subject was erased, by the subject's digest. Later records are there by right."""

    until_ms: dict[str, int] = field(default_factory=dict)

    def take(self, entry: Mapping[str, Any]) -> None:
        """Take in an audit entry. Raises KeyError, TypeError, ValueError or AttributeError for a receipt no worker
        wrote."""
        if "erased" not in entry["changed"]:
            return
        at_ms = milliseconds(entry["at"])
        for digest in entry["changed"]["subject"]["sha256"]:
            self.until_ms[digest] = max(at_ms, self.until_ms.get(digest, at_ms))

    def observation(self, observation: Observation) -> Observation | None:
        """The observation without erased subjects; None if its correlation id was erased."""
        tenant, at_ms = observation.tenant, observation.at_ms
        if not self.until_ms:
            return observation
        if self.covers(tenant, correlation(observation.correlation_id), at_ms):
            return None
        origin = observation.origin
        kept = [each for each in origin.subjects if not self.covers(tenant, each, at_ms)]
        return observation if len(kept) == len(origin.subjects) else replace(observation, origin=origin.having(kept))

    def covers_link(self, tenant: str | None, link: Link) -> bool:
        """Whether an end of the link was erased."""
        return any(self.covers(tenant, correlation(end.correlation_id), end.at_ms) for end in link.refs)

    def flag_event(self, event: FlagEvent) -> FlagEvent | None:
        """The flag's event without evidence of erased subjects; None if the flag's subject was erased."""
        if not self.until_ms:
            return event
        document = orjson.loads(event.document)
        if self.covers(event.tenant, event.subject, milliseconds(document["timestamp"])):
            return None
        linked, confirmed = document["evidence"]["linked"], self._confirmed_stays(event.tenant, document)
        kept = list(self._of_others(event.tenant, linked))
        if len(kept) == len(linked) and confirmed:
            return event
        return replace(event, document=left_with(document, kept, confirmed=confirmed))

    def _confirmed_stays(self, tenant: str | None, document: Mapping[str, Any]) -> bool:
        """Whether the correlation id that a reviewer confirmed is still there, as of the event that names it."""
        named = confirmed_id(document)
        return named is None or not self.covers(tenant, correlation(named), milliseconds(document["timestamp"]))

    def _of_others(self, tenant: str | None, linked: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
        for each in linked:
            if not self.covers(tenant, correlation(each["correlation_id"]), milliseconds(each["when"])):
                yield each

    def covers(self, tenant: str | None, subject: Subject, at_ms: int) -> bool:
        """Whether a receipt says that the subject's records up to `at_ms` are erased."""
        digests = (digest_of(tenant, subject.type, key) for key in subject.keys)
        return any(at_ms <= self.until_ms.get(digest, -1) for digest in digests)
