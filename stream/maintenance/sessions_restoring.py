"""The restoring of sessions in a Redis whose content was lost: terms, attempts, ends.

What a session was created with, and how it ended, is in the headers of its events (`session_events`); the
attempts are in the detections, and what became of these in the decisions. So no attempt that was spent comes back: one
of which no decision is known is under way, as in the gate, and a number of which nothing is known counts as spent. Each
field is written by its first writer: a repeat changes nothing, nor does a rebuild change what workers write meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

import orjson
from pydantic import TypeAdapter

from abuse.event_time import MS, iso8601
from abuse.review.erased import Erased
from abuse.store_time import StoreTime
from abuse.subjects import correlation
from stream.events.message.ids import SubmissionIds
from stream.events.message.messages import SESSION_HEADER, Detection, Record
from stream.events.message.session_terms import SessionTerms
from stream.events.wire.detection_codec import decode_detection
from stream.events.wire.event_times import AHEAD_MS, bounded
from stream.maintenance.parts_restoring import is_on
from stream.maintenance.rebuild_records import NOT_OURS
from stream.pipeline.decision_store import DecisionStore
from stream.runtime.patience import RetryPolicy
from stream.sessions.desk import session_id_of
from stream.sessions.ledger import SessionBook
from stream.sessions.session import ATTEMPT, CREATED, END, Fields, Session, SessionAttempt, SessionEnd, session_from
from stream.sessions.session_record import SessionRecord, record_of_answer
from stream.sessions.session_request import LONGEST_TOKEN_S
from stream.sessions.session_store import SessionName, SessionStore

#: Allowance for publishing a detection after its event's deadline; one that comes later, the broker being away, is not
#: counted.
PUBLISHED_WITHIN_S = 5.0
_IDS = TypeAdapter(SubmissionIds)
_TERMS = TypeAdapter(SessionTerms)
_FIELDS = TypeAdapter(dict[str, str])
_END = TypeAdapter(SessionEnd)
#: Stands in every detection of a session's submission.
_OF_SESSION = b'"session":{'


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldSession:
    """Fields of a session that one event tells of. `record`: of the answer to `session.create`; else None."""

    name: SessionName
    created_at: str
    fields: Fields
    record: SessionRecord | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsRestoring:
    """Restoring of sessions, a step of a rebuild after decisions are restored: `create` for every event, then `change`
    for every event, then `take` for every detection. May be repeated, and beside workers.

    `retention_ms`: how long a session is kept once its token has expired. `event_s`: longest time from an attempt to
    its detection. `monotonic` is in seconds.
    """

    store: SessionStore
    decisions: DecisionStore
    time: StoreTime
    patience: RetryPolicy
    retention_ms: int
    event_s: float
    monotonic: Callable[[], float] = monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    say: Callable[[str], None] = field(default=lambda words: None)

    def since_ms(self, now_ms: int) -> int:
        """Time of the oldest event of a session that may still be kept at `now_ms`, by the store's clock."""
        return now_ms - LONGEST_TOKEN_S * MS - self.retention_ms - AHEAD_MS

    def read(self, record: Record) -> ToldSession | None:
        """Fields that an event tells of; None for one that tells of none: a refusal, or an event of an earlier release.
        Raises one of `rebuild_records.NOT_OURS`."""
        told = [value for name, value in record.headers if name == SESSION_HEADER]
        if not told:
            return None
        document, fields = orjson.loads(record.value or b""), _FIELDS.validate_json(told[0])
        created = None
        if CREATED in fields:
            created = record_of_answer(fields[CREATED], document)
            _require_sound(created, document)
        name = SessionName(document["tenant"], document["session_id"])
        return ToldSession(name=name, created_at=document["created_at"], fields=fields, record=created)

    async def create(self, records: Sequence[SessionRecord], erased: Erased, now_ms: int) -> int:
        """Number of sessions that the store lacked and has now: those that are still kept at `now_ms`, by the store's
        clock, and of nobody erased since."""
        kept = [each for each in records if self._is_kept(each, now_ms) and not _is_erased(each, erased)]
        held = await asyncio.gather(*(self._read(_name_of(each)) for each in kept))
        lacking = {_name_of(each): each for each, fields in zip(kept, held, strict=True) if CREATED not in fields}
        await asyncio.gather(
            *(
                self.patience.until_available(
                    partial(self.store.create, each, age_ms=max(now_ms - each.created_s * MS, 0))
                )
                for each in lacking.values()
            )
        )
        return len(lacking)

    async def change(self, told: Sequence[ToldSession]) -> int:
        """Number of events that tell nonsense; what the others tell of sessions that are kept is written. An earlier
        session of the same name is passed over."""
        return sum(await asyncio.gather(*map(self._changed, told)))

    async def take(self, detections: Sequence[Detection]) -> None:
        """Write the attempts of submissions, and what became of them."""
        await asyncio.gather(*map(self._taken, detections))

    def detection(self, record: Record) -> Detection | None:
        """Detection of a session's submission; None for any other record."""
        if _OF_SESSION not in (record.value or b""):
            return None
        try:
            detection = decode_detection(record.value, set())
        except NOT_OURS:  # counted when parts are restored
            return None
        return None if detection.session is None else detection

    async def published(self, begun: float) -> None:
        """Wait until each attempt that was taken before `begun` has its detection on the topic."""
        left_s = begun + self.event_s + PUBLISHED_WITHIN_S - self.monotonic()
        if left_s > 0:
            self.say(f"waiting {left_s:.0f} s for what workers were analysing: it spends attempts of sessions")
            await self.sleep(left_s)

    def _is_kept(self, record: SessionRecord, now_ms: int) -> bool:
        """Whether the session is kept still; by a clock ahead of Redis' it may begin later than now."""
        return record.created_s * MS <= now_ms + AHEAD_MS and now_ms < record.expires_ms + self.retention_ms

    async def _changed(self, told: ToldSession) -> bool:
        """Whether the event tells nonsense."""
        held = await self._read(told.name)
        if not _is_created_at(held, told.created_at):
            return False
        try:
            _require_possible(session_from({**told.fields, CREATED: held[CREATED]}), told.fields)
        except NOT_OURS:
            return True
        await self.patience.until_available(self.store.add, told.name, told.fields)
        if END in told.fields:  # and so the sweep has nothing to publish
            await self.patience.until_available(self.store.settle, [told.name])
        return False

    async def _taken(self, detection: Detection) -> None:
        terms = detection.session
        assert terms is not None, "called for detections of sessions"
        name = SessionName(detection.ids.tenant, terms.session_id)
        session = session_from(await self._read(name))
        if session is None or session.record.token_id != terms.nonce:
            return
        attempt = {f"{ATTEMPT}{terms.attempt}": SessionAttempt.of(detection).to_text()}
        await self.patience.until_available(self.store.add, name, attempt)
        stored = await self.patience.until_available(self.decisions.find, detection.ids)
        if stored is not None and is_on(stored, detection):
            book = SessionBook(store=self.store)
            await self.patience.until_available(book.decided, detection, stored.decision)

    async def _read(self, name: SessionName) -> Fields:
        return await self.patience.until_available(self.store.read, name)


def _name_of(record: SessionRecord) -> SessionName:
    return SessionName(record.tenant, record.session_id)


def _is_created_at(fields: Fields, created_at: str) -> bool:
    session = session_from(fields)
    return session is not None and iso8601(session.record.created_s * MS) == created_at


def _is_erased(record: SessionRecord, erased: Erased) -> bool:
    return erased.covers(record.tenant, correlation(record.correlation_id), record.created_s * MS)


def _require_possible(session: Session | None, told: Fields) -> None:
    """Raises ValueError for a number or a time that no worker writes: no event of the session could tell of these."""
    assert session is not None, "called for a session that is kept"
    for number in {*session.attempts, *session.outcomes, session.active_since or 1}:
        _TERMS.validate_json(_TERMS.dump_json(session.record.terms(number, active_step=False)))
    times, used = [each.at_ms for each in session.attempts.values()], [session.active_spent or 0]
    if END in told:
        end = _END.validate_json(told[END], strict=True)
        times, used = [*times, end.at_ms], [*used, end.used]
    if any(bounded(at_ms) != at_ms for at_ms in times) or min(used) < 0:
        raise ValueError("a change that no worker could have brought about")


def _require_sound(record: SessionRecord, answer: Mapping[str, Any]) -> None:
    """Raises ValueError for a record that no worker has written, or that isn't the answer's."""
    named = {"submission_id": "-", "correlation_id": record.correlation_id, "tenant": record.tenant}
    _IDS.validate_json(orjson.dumps({**named, "session_id": record.session_id, "resource_id": None}))
    _TERMS.validate_json(_TERMS.dump_json(record.terms(1, active_step=False)))
    ids = (record.session_id, record.tenant, record.correlation_id)
    sound = ids == (answer["session_id"], answer["tenant"], answer["correlation_id"])
    sound &= record.session_id == session_id_of(record.tenant, record.client_request_token)
    if not sound or not 0 < record.expires_s - record.created_s <= LONGEST_TOKEN_S:
        raise ValueError("a session that no worker could have created")
