"""Decide stage: one detection in, the decision to publish out.

verdict -> abuse -> first writer wins. The decision stored first for a submission is published, so that a duplicate, a
redelivery and a race all give the same bytes. Flag events of the submission are published with the decision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakValueDictionary

import structlog

from abuse.flags.flags import FlagEvent
from abuse.links.reuse_references import NO_REFERENCES
from abuse.pictures.frame_index import FrameIndex
from abuse.redis_port import FOREIGN, ForeignValue
from config.catalogues.error_codes import ErrorCode
from config.policy import Policy
from detectors.contract import Analysis
from stream.events.message.ids import SubmissionIds
from stream.events.message.messages import AlreadyDecided, Detection, Output, Record, Refusal
from stream.events.wire.dead_letter import DeadLetters
from stream.events.wire.detection_codec import DetectionError, decode_detection
from stream.events.wire.detection_part import DetectionPart, is_part
from stream.events.wire.session_events import SessionEvent
from stream.pipeline.admission.admission import mismatch
from stream.pipeline.decision import decision
from stream.pipeline.decision.abuse_stage import AbuseStage, is_about
from stream.pipeline.decision.event_builders import Decided, EventBuilder
from stream.pipeline.decision.frame_replay import capture_of, replayed
from stream.pipeline.decision.replays import Replays
from stream.pipeline.decision.session_ledger import SessionLedger
from stream.pipeline.decision_store import DecisionStore, StoredDecision
from stream.pipeline.detection.detect_stage import refusal_for
from stream.pipeline.join.group_parts import GroupParts
from stream.pipeline.join.join import SETTLED, Join
from stream.pipeline.join.pending import MAX_PENDING_BYTES
from stream.pipeline.verdict.session_verdict import session_verdict
from stream.pipeline.verdict.verdict import Verdict, refused, verdict_on
from stream.runtime import metrics
from stream.runtime.clock import Clock
from stream.runtime.patience import RetryPolicy

log = structlog.get_logger()

BAD_DETECTION_REASON = "BAD_DETECTION"
MOST_TOLD_NAMES = 256

#: The decision in force, and the flag events to publish with it.
StoredOutcome = tuple[StoredDecision, list[FlagEvent]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecideStage:
    """Stage of the decide agent, pure of Kafka and Faust.

    `handle` is called by the agent for each record, may wait for the store, and raises only for bugs; a repeat gives
    the same outputs. `decide` takes a complete detection: what arrives in parts is joined before.
    """

    store: DecisionStore
    abuse: AbuseStage
    patience: RetryPolicy
    clock: Clock
    policy: Policy
    dead_letters: DeadLetters
    builders: Sequence[EventBuilder]
    #: None without sessions.
    sessions: SessionLedger | None = None
    #: None without hash keys: a frame that was shown in another session is not found then.
    frames: FrameIndex | None = None
    #: Distance up to which the template model sees one person; None without a calibrated model.
    face_bound: float | None = None
    join: Join
    group_parts: GroupParts
    #: None where detections carry no MAC, and any time in a detection may be a stranger's.
    replays: Replays | None = None
    #: Locks of the submissions that are being decided: a submission read again after a crash has two detections, and
    #: the first of them, which may have been observed already, gets its decision first.
    submissions: WeakValueDictionary[SubmissionIds, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    #: Names of readings and indications, of a newer release, that the log has.
    told_names: set[str] = field(default_factory=set)

    async def handle(self, record: Record) -> Sequence[Output]:
        if is_part(record):
            return await self._of_group(record)
        newer = set[str]()
        try:
            detection = decode_detection(record.value, newer)
            whole = not self.join.waits(detection)
            if detection.part is not None and len(record.value or b"") > MAX_PENDING_BYTES:
                raise DetectionError("the detection is too large for a part of a submission")
        except DetectionError as error:
            return [self.dead_letters.letter(record, reason=BAD_DETECTION_REASON, message=str(error))]
        if self.replays is not None and self.replays.is_one(record, detection):
            return [self.replays.letter(record)]
        self._tell(newer)
        return await self._decided_if_whole(detection if whole else await self.join.add(detection))

    async def _of_group(self, record: Record) -> Sequence[Output]:
        """Outputs of a detector group's record: those of the submission, if the record completes it."""
        part = self.group_parts.read(record)
        if not isinstance(part, DetectionPart):
            return [] if part is None else [part]
        metrics.GROUP_PARTS.labels(outcome="joined").inc()
        return await self._decided_if_whole(await self.join.add_group(part))

    async def _decided_if_whole(self, detection: Detection | None) -> Sequence[Output]:
        return [] if detection is None else await self.outputs_on(detection)

    async def outputs_on(self, detection: Detection) -> Sequence[Output]:
        """Outputs of the decision on a complete detection; for the sweep of the join too."""
        return self._outputs(await self.decide(detection))

    def outputs_of(self, detection: Detection, decision: bytes) -> Sequence[Output]:
        """Outputs of a decision that was made elsewhere, and is stored nowhere; for the sweep of the join."""
        return self._outputs(Decided(detection=detection, decision=decision, flags=()))

    async def answer(self, record: Record) -> Sequence[Output]:
        if is_part(record):
            return []  # the submission is decided without its group's result
        try:
            detection: Detection | None = decode_detection(record.value)
        except DetectionError:
            return []
        assert detection is not None
        if self.replays is not None and self.replays.is_one(record, detection):
            return []
        if detection.part is not None:
            detection = await self.join.add(unanswered(detection))
        return [] if detection is None else await self.answer_for(detection)

    async def answer_for(self, detection: Detection) -> Sequence[Output]:
        """Outputs that answer the sender of a submission on which `decide` failed."""
        verdict = verdict_on(refusal_for(ErrorCode.SERVER_ERROR), self.policy)
        event = decision.decision_event(detection, verdict, self.policy, self.clock.now_ms())
        ours = StoredDecision(detection.fingerprint, decision.encode(event))
        first = await self._stored(detection, ours)
        if not first.is_for(detection.ids, detection.fingerprint):
            first = await self.patience.until_available(self.store.put_by_fingerprint, detection.ids, ours)
        changes = await self._session_changes(detection, first.decision)
        return self._outputs(Decided(detection=detection, decision=first.decision, flags=(), sessions=changes))

    def _tell(self, newer: set[str]) -> None:
        """Each name of a newer release, once in a worker's life and up to a bound: a detection may be a stranger's."""
        untold = newer - self.told_names
        if untold and len(self.told_names) < MOST_TOLD_NAMES:
            self.told_names.update(untold)
            log.warning("names_of_a_newer_release", names=sorted(untold))

    def _outputs(self, decided: Decided) -> list[Output]:
        return [output for build in self.builders for output in build(decided)]

    async def decide(self, detection: Detection) -> Decided:
        """Decision on a submission, stored: the first writer's, with the flag events not yet published. Detections of
        one submission are decided one after the other, in the order of the calls."""
        async with self.submissions.setdefault(detection.ids, asyncio.Lock()):
            return await self._decided(detection)

    async def _decided(self, detection: Detection) -> Decided:
        finding = detection.finding
        if isinstance(finding, AlreadyDecided):
            metrics.DUPLICATES.inc()
            # Stored once more in case it has expired since.
            found, flags = StoredDecision(detection.fingerprint, finding.decision), list[FlagEvent]()
            first = await self.patience.until_available(self.store.put_if_absent, detection.ids, found)
        elif isinstance(finding, Refusal) and finding.error is ErrorCode.DUPLICATE_MISMATCH:
            first, flags = await self._mismatch(detection, finding)
        else:
            first, flags = await self._first(detection, finding)
        changes = await self._session_changes(detection, first.decision)
        return Decided(detection=detection, decision=first.decision, flags=flags, sessions=changes)

    async def _session_changes(self, detection: Detection, decision: bytes) -> Sequence[SessionEvent]:
        """Changes of the submission's session by the decision in force, which alone counts. A session that can't be
        read, as of another release, holds back no decision."""
        ledger = self.sessions
        if ledger is None or detection.session is None:
            return ()
        try:
            return await self.patience.until_available(ledger.decided, detection, decision)
        except (ForeignValue, *FOREIGN) as error:
            log.error("session_unreadable", error=type(error).__name__)
            return ()

    async def _first(self, detection: Detection, finding: tuple[Analysis, ...] | Refusal) -> StoredOutcome:
        ours, events = await self._decide(detection, finding)
        first, flags = await self._stored_with(self._stored(detection, ours), events)
        if not first.is_for(detection.ids, detection.fingerprint):
            decided, more = await self._mismatch(detection, mismatch(detection.ids, first.decision))
            return decided, [*flags, *more]  # stored flag events are published, also of content that lost the race
        if first is not ours:
            metrics.DUPLICATES.inc()
        if finding == SETTLED and first is not ours:
            return first, await self.abuse.own_again(first.decision)
        return first, flags if first is ours or is_about(first.decision, detection) else []

    async def _stored(self, detection: Detection, ours: StoredDecision) -> StoredDecision:
        # A submission without correlation id is never analysed and must not take a submission id from one with.
        keep = self.store.put_if_absent if detection.ids.correlation_id else self.store.put_by_fingerprint
        return await self.patience.until_available(keep, detection.ids, ours)

    async def _stored_with(self, storing: Awaitable[StoredDecision], events: Sequence[FlagEvent]) -> StoredOutcome:
        """Decision in force, its events stored in the same round trip; most decisions have none."""
        return await asyncio.gather(storing, self.abuse.record(events)) if events else (await storing, [])

    async def _mismatch(self, detection: Detection, refusal: Refusal) -> StoredOutcome:
        ours, events = await self._decide(detection, refusal)
        storing = self.patience.until_available(self.store.put_by_fingerprint, detection.ids, ours)
        first, flags = await self._stored_with(storing, events)
        return first, flags if first is ours or is_about(first.decision, detection) else []

    async def _decide(
        self, detection: Detection, finding: tuple[Analysis, ...] | Refusal
    ) -> tuple[StoredDecision, tuple[FlagEvent, ...]]:
        """Decision of our own, not yet stored, and the flag events that go with it."""
        shown_before = await self._shown_before(detection, finding)
        bound = self.face_bound
        verdict = session_verdict(detection, finding, self.policy, face_bound=bound, shown_before=shown_before)
        observed = not isinstance(finding, Refusal) or finding.counts
        assessed = await self.abuse.assess(detection, verdict, observed=observed)
        if assessed.refusal is not None and verdict.error is None:
            verdict = refused(verdict, assessed.refusal, self.policy)
        _count(verdict, detection, self.clock.now_ms())
        event = decision.decision_event(detection, verdict, self.policy, self.clock.now_ms(), assessed.document)
        return StoredDecision(detection.fingerprint, decision.encode(event)), assessed.events

    async def _shown_before(self, detection: Detection, finding: tuple[Analysis, ...] | Refusal) -> bool:
        """Whether another capture showed the frames of an active check first; claims these otherwise."""
        frames, capture = self.frames, capture_of(detection)
        if frames is None or capture is None or isinstance(finding, Refusal):
            return False
        at_ms = detection.appended_at_ms
        shown = await self.patience.until_available(frames.claim, capture, at_ms)
        return replayed(shown, capture)


def unanswered(detection: Detection) -> Detection:
    """Detection in place of one on which the stage failed: nothing of what was measured, in the same session."""
    return replace(detection, finding=refusal_for(ErrorCode.SERVER_ERROR), references=NO_REFERENCES, pixels=())


def _count(verdict: Verdict, detection: Detection, now_ms: int) -> None:
    metrics.DECISIONS.labels(verdict=str(verdict.kind)).inc()
    if verdict.error is not None:
        metrics.ERRORS.labels(code=str(verdict.error)).inc()
    metrics.DECISION_SECONDS.observe(max(now_ms - detection.appended_at_ms, 0) / 1000)
