"""Sessions with what workers published of them, and Redis made anew from the topics."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from abuse.keys.key_periods import HashKey
from abuse.redis_port import RedisClient
from abuse.store_time import StillTime
from config.catalogues.error_codes import ErrorCode
from config.settings import Settings
from stream.events.authentication.record_mac import RecordMacs
from stream.events.message.messages import Detection, Output, Record, Submission
from stream.events.message.session_terms import SessionTerms
from stream.events.topics import Topic
from stream.events.wire.detection_codec import detection_output
from stream.events.wire.session_events import SessionEvent, session_output
from stream.maintenance.rebuild import Rebuild, Rebuilt
from stream.maintenance.sessions_restoring import SessionsRestoring
from stream.pipeline.decision_store import StoredDecision
from stream.pipeline.detection.detect_stage import refusal_for
from stream.redis.session_store import RedisSessionStore
from stream.runtime.patience import RetryPolicy
from stream.sessions.changes import created_event
from stream.sessions.desk import session_id_of
from stream.sessions.gate import SessionTokenGate
from stream.sessions.ledger import SessionBook
from stream.sessions.session import Fields, Session, session_from
from stream.sessions.session_record import SessionRecord
from stream.sessions.session_store import SessionName
from tests.unit.stream.builders import APPENDED_AT_MS
from tests.unit.stream.review.command_cases import Reviewer
from tests.unit.stream.sessions.builders import desk, session_record, token_of, tokens
from tests.unit.stream.sessions.test_gate import submission

SESSIONS, DETECTIONS = str(Topic.SESSIONS), str(Topic.DETECTIONS)
MACS = RecordMacs([HashKey(id="k1", secret=b"a" * 32)], {str(topic): topic for topic in Topic})
RETENTION_S = 3600
#: Moment of the rebuild, by the store's clock.
NOW_MS = APPENDED_AT_MS + 60_000


def made(number: int = 1, **changes: Any) -> SessionRecord:
    """Record of a session under the id that a desk would give it."""
    named = session_id_of(changes.get("tenant"), f"request-{number}")
    return session_record(number, **{"session_id": named, **changes})


@dataclass
class Lost:
    """Workers over a Redis, the topics, and an empty Redis in place of the first."""

    calls: RedisClient
    topics: dict[str, list[Any]]
    reviewer: Reviewer = field(default_factory=Reviewer)
    now_ms: int = NOW_MS
    waited: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.topics.update({SESSIONS: [], DETECTIONS: []})
        self.before = RedisSessionStore(self.calls, "before:", RETENTION_S)
        self.after = RedisSessionStore(self.calls, "after:", RETENTION_S)

    def publish(self, output: Output) -> None:
        signed = MACS.signed(output)
        place = {"topic": output.topic, "partition": 0, "offset": 0, "appended_at_ms": APPENDED_AT_MS}
        self.topics[output.topic].append(Record(**place, key=signed.key, value=signed.value, headers=signed.headers))

    def tell(self, *events: SessionEvent | None) -> None:
        for event in events:
            if event is not None:
                self.publish(session_output(event, SESSIONS, "/test"))

    async def obeyed(self, given: Record) -> list[Output]:
        """Outputs of a command, published too."""
        sessions = desk(self.reviewer.ledger, self.before)
        outputs = await replace(self.reviewer, sessions=sessions).obey(given)
        for each in outputs:
            self.publish(replace(each, topic=f"liveness.{each.topic}"))
        return outputs

    async def obeyed_anew(self, given: Record) -> list[Output]:
        """Outputs of a command on the Redis made anew."""
        return await replace(self.reviewer, sessions=desk(self.reviewer.ledger, self.after)).obey(given)

    async def created(self, number: int = 1, **changes: Any) -> SessionRecord:
        record = made(number, **changes)
        session = session_from(await self.before.create(record))
        assert session is not None
        self.tell(created_event(session, token_of(session.record)))
        return session.record

    async def taken(
        self, record: SessionRecord, number: int, decided: bytes | None = None, given: Submission | None = None
    ) -> Detection:
        """A submission's attempt, and what became of it."""
        given = given or submission(number, token=token_of(record))
        terms = await self.gate(self.before).admit(given, required=True)
        assert isinstance(terms, SessionTerms), terms
        detection = Detection(
            ids=given.ids,
            fingerprint=given.fingerprint,
            appended_at_ms=given.appended_at_ms,
            finding=refusal_for(ErrorCode.SERVER_ERROR),
            session=terms,
            part=given.part,
        )
        self.publish(detection_output(detection, DETECTIONS, "/test"))
        if decided is not None:
            decided = orjson.dumps({**orjson.loads(decided), "session_id": record.session_id})
            await self.reviewer.decisions.put_if_absent(given.ids, StoredDecision(given.fingerprint, decided))
            self.tell(*await SessionBook(store=self.before).decided(detection, decided))
        return detection

    def gate(self, store: RedisSessionStore) -> SessionTokenGate:
        return SessionTokenGate(store=store, tokens=tokens())

    async def rebuilt(self, **changes: Any) -> Rebuilt:
        reviewer = self.reviewer
        stores = {"ledger": reviewer.ledger, "links": reviewer.links, "audit": reviewer.audit, "commands": reviewer.log}
        stores |= {"decisions": reviewer.decisions, "erasures": reviewer.erasures}
        rebuild = Rebuild(
            settings=Settings(), patience=RetryPolicy(), macs=MACS, sessions=self.restoring(**changes), **stores
        )
        return await rebuild.run()

    def restoring(self, **changes: Any) -> SessionsRestoring:
        async def sleep(seconds: float) -> None:
            self.waited.append(seconds)

        made = SessionsRestoring(
            store=self.after,
            decisions=self.reviewer.decisions,
            time=StillTime(self.now_ms),
            patience=RetryPolicy(),
            retention_ms=RETENTION_S * 1000,
            event_s=25.0,
            sleep=sleep,
        )
        return replace(made, **changes)

    async def held(self, record: SessionRecord, store: RedisSessionStore | None = None) -> Fields:
        return await (store or self.after).read(SessionName(record.tenant, record.session_id))

    async def session(self, record: SessionRecord) -> Session:
        found = session_from(await self.held(record))
        assert found is not None
        return found
