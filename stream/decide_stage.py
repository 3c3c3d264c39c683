"""The decide stage: one detection in, the decision to publish out.

verdict -> first writer wins. Whatever was stored first for this submission is what is published, so that a
duplicate, a redelivery and a race all give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from config.error_codes import ErrorCode
from config.policy import Policy
from detectors.contract import Analysis
from stream import decision, metrics
from stream.admission import mismatch
from stream.clock import Clock
from stream.cloud_events import EventType, binary_headers
from stream.dead_letter import dead_letter
from stream.decision_store import DecisionStore, StoredDecision
from stream.detection_codec import DetectionError, decode_detection
from stream.messages import AlreadyDecided, Detection, Output, Record, Refusal
from stream.patience import Patience
from stream.verdict import Verdict, judge

BAD_DETECTION_REASON = "BAD_DETECTION"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecideStage:
    """Pure of Kafka and Faust. `handle` may wait for the store and raises only for bugs."""

    store: DecisionStore
    patience: Patience
    clock: Clock
    policy: Policy
    decisions_topic: str
    dead_letter_topic: str
    max_event_bytes: int
    source: str

    async def handle(self, record: Record) -> Sequence[Output]:
        try:
            detection = decode_detection(record.value)
        except DetectionError as error:
            metrics.DEAD_LETTERS.labels(reason=BAD_DETECTION_REASON).inc()
            letter = dead_letter(
                record,
                self.dead_letter_topic,
                reason=BAD_DETECTION_REASON,
                message=str(error),
                max_bytes=self.max_event_bytes,
            )
            return [letter]
        stored = await self._first(detection)
        return [self._output(detection, stored.decision)]

    async def _first(self, detection: Detection) -> StoredDecision:
        finding = detection.finding
        if isinstance(finding, AlreadyDecided):
            ours = StoredDecision(detection.fingerprint, finding.decision)
        elif isinstance(finding, Refusal) and finding.error is ErrorCode.DUPLICATE_MISMATCH:
            return await self._mismatch(detection, finding)
        else:
            ours = self._decide(detection, finding)
        first = await self.patience.insist(lambda: self.store.keep_first(detection.ids, ours))
        if first.fingerprint != detection.fingerprint:
            return await self._mismatch(detection, mismatch())
        if first is not ours or isinstance(finding, AlreadyDecided):
            metrics.DUPLICATES.inc()
        return first

    async def _mismatch(self, detection: Detection, refusal: Refusal) -> StoredDecision:
        ours = self._decide(detection, refusal)
        return await self.patience.insist(lambda: self.store.keep_mismatch(detection.ids, ours))

    def _decide(self, detection: Detection, finding: Analysis | Refusal) -> StoredDecision:
        verdict = judge(finding, self.policy)
        _count(verdict, detection, self.clock.now_ms())
        event = decision.decision_event(detection, verdict, self.policy, self.clock.now_ms())
        return StoredDecision(detection.fingerprint, decision.encode(event))

    def _output(self, detection: Detection, value: bytes) -> Output:
        ids = detection.ids
        headers = binary_headers(
            EventType.DECISION,
            event_id=decision.request_id(ids, detection.fingerprint),
            source=self.source,
            subject=ids.submission_id,
            extensions={"correlationid": ids.correlation_id, "tenant": ids.tenant},
        )
        key = ids.correlation_id or ids.submission_id
        return Output(topic=self.decisions_topic, key=key.encode(), value=value, headers=headers)


def _count(verdict: Verdict, detection: Detection, now_ms: int) -> None:
    metrics.DECISIONS.labels(verdict=str(verdict.answer)).inc()
    if verdict.error is not None:
        metrics.ERRORS.labels(code=str(verdict.error)).inc()
    metrics.DECISION_SECONDS.observe(max(now_ms - detection.appended_at_ms, 0) / 1000)
