"""The restoring of parts that waited in a Redis whose content was lost, from the detections topic: each submission of
which no decision is known waits again, and is decided by the record that completes its set, or by the sweep."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from abuse.review.erased import Erased
from abuse.subjects import correlation
from config.policy import Policy
from stream.events.message.ids import SubmissionIds
from stream.events.message.messages import Detection, Record
from stream.events.wire.detection_codec import DetectionError, decode_detection
from stream.events.wire.detection_part import DetectionPart, is_part
from stream.maintenance.older_copy import EXPIRES_EARLIER_MS
from stream.maintenance.rebuild_records import published_of
from stream.pipeline.decision.parts_erasure import answer_on
from stream.pipeline.decision.replays import Replays
from stream.pipeline.decision_store import DecisionStore, StoredDecision
from stream.pipeline.join.group_parts import GroupParts
from stream.pipeline.join.join import Join, is_frame
from stream.pipeline.join.pending import ERASED, MAX_PENDING_BYTES

#: Open sets that are looked at, at most: those of submissions of the last minutes.
MOST_OPEN = 1_000_000
FOR_EVER_MS = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class PartsRestoring:
    """Restoring of pending detections, a step of a rebuild after decisions are restored. May be repeated, and beside
    workers. `kept_ms`: how long a decision is held, and so known."""

    join: Join
    decisions: DecisionStore
    group_parts: GroupParts
    replays: Replays | None
    policy: Policy
    kept_ms: int
    #: Submissions whose decisions were published and erased.
    gone: set[SubmissionIds] = field(default_factory=set)

    def note_gone(self, ids: SubmissionIds) -> None:
        """Called for each published decision that was erased."""
        self.gone.add(_whose(ids))

    def read(self, record: Record) -> Detection | DetectionPart | None:
        """Part in a record; None for what waits for nothing. Raises one of `rebuild_records.NOT_OURS`."""
        if is_part(record):
            part = self.group_parts.read(record)
            return part if isinstance(part, DetectionPart) else None
        detection = decode_detection(record.value, set())
        too_large = detection.part is not None and len(record.value or b"") > MAX_PENDING_BYTES
        is_replay = self.replays is not None and self.replays.is_one(record, detection)
        return detection if self.join.waits(detection) and not (too_large or is_replay) else None

    async def restore(self, parts: Sequence[tuple[int, Detection | DetectionPart]], erased: Erased) -> int:
        """Number of parts, each with its record's time in milliseconds, that wait now. Parts that are older than what
        is known of decisions are left out."""
        known_ms = await self.join.patience.until_available(self.join.time.now_ms) - self.kept_ms + EXPIRES_EARLIER_MS
        known = [(at_ms, part) for at_ms, part in parts if at_ms >= known_ms]
        decided = await asyncio.gather(*(self._is_decided(part) for _, part in known))
        waiting = [each for each, is_decided in zip(known, decided, strict=True) if not is_decided]
        return sum([await self._restored(at_ms, part, erased) for at_ms, part in waiting])

    async def _restored(self, at_ms: int, part: Detection | DetectionPart, erased: Erased) -> bool:
        """Whether the part waits; of an erased person's frame an answer is left."""
        ids = part.ids
        if ids.correlation_id is None or not erased.covers(ids.tenant, correlation(ids.correlation_id), at_ms):
            await self.join.restore(part)
            return True
        if isinstance(part, Detection) and _whose(ids) not in self.gone:
            now_ms = await self.join.patience.until_available(self.join.time.now_ms)
            await self.join.owe(part, lambda detection: answer_on(detection, self.policy, now_ms))
        return False

    async def close_decided(self) -> None:
        """Close open sets of an older copy that were decided after the copy was made."""
        pending, retry = self.join.pending, self.join.patience.until_available
        for name in await retry(pending.due, FOR_EVER_MS, MOST_OPEN):
            state, parts = await retry(pending.read, name)
            frames = [payload for slot, (_, payload) in parts.items() if is_frame(slot)]
            if state.closing is None and frames and await self._is_decided_by(frames[0]):
                closing, _ = await retry(pending.close, name, ERASED)
                if closing == ERASED:
                    await retry(pending.settle, name, "", parts.keys())

    async def discard(self, tenant: str | None, correlation_id: str) -> None:
        """Remove what an older copy holds of a person who was erased since; the topic tells what is owed."""
        pending, retry = self.join.pending, self.join.patience.until_available
        names: Collection[str] = await retry(pending.listed, tenant, correlation_id)
        for name in names:
            await retry(pending.discard, name)

    async def _is_decided_by(self, frame: bytes) -> bool:
        """Whether a frame's submission is decided; a frame that can't be read is left to the sweep."""
        try:
            return await self._is_decided(decode_detection(frame, set()))
        except DetectionError:
            return False

    async def _is_decided(self, part: Detection | DetectionPart) -> bool:
        stored = await self.join.patience.until_available(self.decisions.find, part.ids)
        return stored is not None and is_on(stored, part)


def is_on(stored: StoredDecision, part: Detection | DetectionPart) -> bool:
    """Whether a decision is that on the part's submission."""
    if isinstance(part, Detection) and part.part is None:
        return stored.is_for(part.ids, part.fingerprint)
    return _whose(published_of(stored.decision).ids) == _whose(part.ids)


def _whose(ids: SubmissionIds) -> SubmissionIds:
    """Ids of a submission without the session, which a decision may have from the token."""
    return replace(ids, session_id=None)
