"""The erasure of parts that wait: what is a person's goes, and the submission is answered all the same.

The answer is made at the erasure and kept for the sweep, which publishes it within seconds; no more is stored of it, so
that nothing in Redis names the person then. A set that holds no frame leaves nothing to answer: a frame that comes
later is there by right. One that a record closed is decided by that record, which isn't acknowledged before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from abuse.store_time import StoreTime
from config.catalogues.error_codes import ErrorCode
from config.policy import Policy
from stream.events.message.messages import AlreadyDecided, Detection, Refusal
from stream.events.wire.detection_codec import DetectionError, encode_detection
from stream.pipeline.decision.decision import decision_event, encode
from stream.pipeline.decision_store import DecisionStore
from stream.pipeline.join.join import is_frame
from stream.pipeline.join.joined import of_frames
from stream.pipeline.join.pending import ERASED, Closing, Parts, PendingDetections
from stream.pipeline.verdict.verdict import verdict_on

PARTS_ERASED = "parts_erased"
_REFUSAL = Refusal(
    error=ErrorCode.SERVER_ERROR,
    message="what had come of the submission was erased before it was decided",
    reason=PARTS_ERASED,
    counts=False,
)


def answer_on(detection: Detection, policy: Policy, now_ms: int) -> Detection:
    """Detection with the decision on a submission whose parts were erased: its ids, and nothing that was measured."""
    bare = Detection(
        ids=detection.ids,
        fingerprint=detection.fingerprint,
        appended_at_ms=detection.appended_at_ms,
        finding=_REFUSAL,
    )
    event = decision_event(bare, verdict_on(_REFUSAL, policy), policy, now_ms)
    return replace(bare, finding=AlreadyDecided(decision=encode(event)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PartsErasure:
    """Erasure of pending detections (port: `abuse.review.erasure.Erasable`)."""

    pending: PendingDetections
    decisions: DecisionStore
    policy: Policy
    time: StoreTime

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        return len(await self.pending.listed(tenant, correlation_id))

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        """Erase the sets first and their list last, so that a repeat after a crash finds the rest."""
        names = await self.pending.listed(tenant, correlation_id)
        for name in names:
            await self._erase(name)
        await self.pending.unlist(tenant, correlation_id, names)
        return len(names)

    async def _erase(self, name: str) -> None:
        state, parts = await self.pending.read(name)
        if state.closing == ERASED and state.settled is not None:
            return  # erased before, and answered
        if state.owed is not None:
            await self.pending.owe(name, state.owed)
            return
        if state.closing is None and not any(map(is_frame, parts)):
            await self.pending.discard(name, parts.keys())
            return
        closing, parts = await self.pending.close(name, ERASED)
        waiting = {slot: part for slot, part in parts.items() if is_frame(slot)}
        owed = await self._answer(closing, waiting) if waiting and closing.by is None else None
        await (self.pending.discard(name) if owed is None else self.pending.owe(name, owed))

    async def _answer(self, closing: Closing, waiting: Parts) -> str | None:
        """Answer to what waits; None where a sweep had closed the set, and decided it before it ended, and for parts
        that can't be read, which go all the same."""
        try:
            detection = joined_of(waiting)
        except DetectionError:
            return None
        if closing != ERASED and await self.decisions.find(detection.ids) is not None:
            return None
        return encode_detection(answer_on(detection, self.policy, await self.time.now_ms())).decode()


def joined_of(frames: Mapping[str, tuple[str, bytes]]) -> Detection:
    """Detection of the frames that are there, as if their set were closed."""
    return of_frames(Closing(slots=tuple(frames), against=(), by=None), frames, (), {}).detection
