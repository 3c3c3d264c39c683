"""The join: one detection of a submission whose frames, or whose detector groups' results, arrive in several records.

A set of parts has a slot for each frame (`frame:INDEX`) and, if the policy names detector groups, one for each group's
result on each frame (`GROUP:INDEX`). A set that is complete, or spoilt, or past its deadline is closed once; what
follows from the frozen parts is in `joined`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from abuse.event_time import MS
from abuse.store_time import StoreTime
from config.catalogues.error_codes import ErrorCode
from config.detector_groups import RESERVED
from stream.events.message.ids import SubmissionIds
from stream.events.message.messages import AlreadyDecided, Detection, Refusal
from stream.events.message.session_terms import FramePart
from stream.events.wire.detection_codec import decode_detection, encode_detection
from stream.events.wire.detection_part import DetectionPart, encode_part
from stream.pipeline.capture.compared_frames import Kinds
from stream.pipeline.join.joined import Joining, of_frames
from stream.pipeline.join.pending import ERASED, Closing, Parts, PendingDetections, PendingPart, PendingSet, set_name
from stream.runtime import metrics
from stream.runtime.patience import RetryPolicy

FRAME = RESERVED
#: Finding of a submission that was decided and whose parts are gone.
SETTLED = Refusal(error=ErrorCode.SERVER_ERROR, message="the parts were decided before", counts=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinPlan:
    """Plan of the join: the policy's detector `groups`, by name, and how long the rest of a set is waited for."""

    groups: tuple[str, ...] = ()
    frames_s: float = 120.0
    groups_s: float = 30.0
    #: How face templates are compared, by model.
    kinds: Kinds = field(default_factory=dict)

    def wait_ms(self, part: FramePart | None) -> int:
        waits = [*([self.frames_s] if part else []), *([self.groups_s] if self.groups else [])]
        return round(max(waits, default=0.0) * MS)

    def slots(self, count: int) -> frozenset[str]:
        """Slots of a complete set of so many records."""
        return frozenset(f"{kind}:{index}" for kind in (FRAME, *self.groups) for index in range(count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Join for the decide stage and the sweep. Waits while the store is away; each call may be repeated."""

    pending: PendingDetections
    patience: RetryPolicy
    time: StoreTime
    plan: JoinPlan

    def waits(self, detection: Detection) -> bool:
        """Whether a detection is one of several parts. A whole one whose frames were not all analysed is decided at
        once: no group could lower the verdict on it. One by a worker whose policy named no group yet waits for results
        that nobody can tell apart from another picture's, so that these are missing."""
        if detection.part is not None:
            return not isinstance(detection.finding, AlreadyDecided)
        return bool(self.plan.groups) and _is_analysed(detection)

    async def add(self, detection: Detection) -> Detection | None:
        """Joined detection, if this part completes its set, or did and was not yet decided; None while others are
        waited for, and for a part that came after the closing, which changes nothing."""
        return await self._add(_of_worker(detection))

    async def add_group(self, part: DetectionPart) -> Detection | None:
        """Like `add`, for the result of a detector group."""
        return await self._add(_of_group(part))

    async def restore(self, given: Detection | DetectionPart) -> None:
        """Put a part into its set, which its own record or the sweep will close; for a rebuild."""
        await self._put(_of_worker(given) if isinstance(given, Detection) else _of_group(given))

    async def owe(self, detection: Detection, answer: Callable[[Detection], Detection]) -> None:
        """Leave an answer in place of a part that was erased, unless its set is closed; for a rebuild."""
        name = _of_worker(detection).name
        state, _ = await self.patience.until_available(self.pending.read, name)
        is_ours = state.closing == ERASED and state.owed is None and state.settled is None
        if state.closing is None or is_ours:
            await self._close(name, ERASED)
            owed = encode_detection(answer(detection)).decode()
            await self.patience.until_available(self.pending.owe, name, owed)

    async def end(self, name: str) -> Joining | None:
        """The set as closed, by its deadline if by nothing before; None for one that holds no frame, or none that
        counts: a worker may have ended before it removed a frame that came too late."""
        state, parts = await self.patience.until_available(self.pending.read, name)
        if state.owed is not None and state.settled is None:
            return Joining(detection=decode_detection(state.owed.encode()), slots=tuple(parts), by_deadline=True)
        closing = state.closing
        counting = parts.keys() if closing is None else parts.keys() & set(closing.slots)
        if not any(is_frame(slot) for slot in counting):
            return None
        if closing is None:
            metrics.JOINS.labels(outcome="deadline").inc()
            closing, parts = await self._close(name, _closing(state, None))
        return of_frames(closing, parts, self.plan.groups, self.plan.kinds)

    async def settle(self, name: str, joining: Joining) -> None:
        """Remove the parts of a decided set. The record that closed the set may come again, and has its decision and
        the changes of its session published still. Of an erased one nothing stays that names anybody."""
        erased, slots = isinstance(joining.detection.finding, AlreadyDecided), joining.slots
        settled = "" if erased else encode_detection(_settled(joining.detection)).decode()
        await self.patience.until_available(self.pending.settle, name, settled, slots)

    async def _add(self, placed: _Placed) -> Detection | None:
        found = await self._joined(placed, await self._put(placed))
        if isinstance(found, Joining):
            return found.detection
        return None if found is None else decode_detection(found.encode())

    async def _put(self, placed: _Placed) -> PendingSet:
        put, due_ms = self.pending.put, None
        if placed.due:
            now_ms = await self.patience.until_available(self.time.now_ms)
            due_ms = now_ms + self.plan.wait_ms(placed.part)
        return await self.patience.until_available(put, placed.name, placed.ids, placed.own, due_ms)

    async def _joined(self, placed: _Placed, state: PendingSet) -> Joining | str | None:
        """The set, if it is this part's record that decides it; what is left of one whose parts are gone already."""
        name, own = placed.name, placed.own
        by = (own.slot, own.digest)
        if state.closing is None:
            if not self._is_whole(state, placed.part):
                return None
            closing, parts = await self._close(name, _closing(state, by))
            metrics.JOINS.labels(outcome="spoilt" if _is_spoilt(state) else "complete").inc()
        elif state.closing.by != by:
            metrics.JOINS.labels(outcome="late" if own.slot not in state.closing.slots else "again").inc()
            return None
        elif state.settled is not None:
            return state.settled
        else:
            closing = state.closing
            _, parts = await self.patience.until_available(self.pending.read, name)
        return of_frames(closing, parts, self.plan.groups, self.plan.kinds) if closing.by == by else None

    async def _close(self, name: str, closing: Closing) -> tuple[Closing, Parts]:
        return await self.patience.until_available(self.pending.close, name, closing)

    def _is_whole(self, state: PendingSet, part: FramePart | None) -> bool:
        """Whether nothing more is waited for: the set is whole or spoilt, or its frames are there and one refused."""
        count = 1 if part is None else part.frame_count
        frames = {slot for slot in self.plan.slots(count) if is_frame(slot)}
        missing = self.plan.slots(count) - state.slots
        return _is_spoilt(state) or not missing or (state.ends and not frames & missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """Part of a set with its place there: of a record a frame, or of a whole submission. `due`: whether the set's
    deadline begins with the part."""

    name: str
    ids: SubmissionIds
    own: PendingPart
    part: FramePart | None
    due: bool


def _of_worker(detection: Detection) -> _Placed:
    part = detection.part
    own = PendingPart(
        slot=f"{FRAME}:{_index(part)}",
        digest=detection.fingerprint,
        ends=not _is_analysed(detection),
        payload=encode_detection(detection),
    )
    name = _name(detection.ids, part, detection.content or detection.fingerprint)
    return _Placed(name=name, ids=detection.ids, own=own, part=part, due=True)


def _of_group(part: DetectionPart) -> _Placed:
    slot = f"{part.group}:{_index(part.part)}"
    own = PendingPart(slot=slot, digest=part.digest, payload=encode_part(part))
    name = _name(part.ids, part.part, part.content)
    return _Placed(name=name, ids=part.ids, own=own, part=part.part, due=False)


def _settled(joined: Detection) -> Detection:
    """Detection in place of a joined one that was decided: it leads to the stored decision, and tells nothing that was
    measured."""
    return Detection(
        ids=joined.ids,
        fingerprint=joined.fingerprint,
        appended_at_ms=joined.appended_at_ms,
        finding=SETTLED,
        session=joined.session,
    )


def _closing(state: PendingSet, by: tuple[str, str] | None) -> Closing:
    return Closing(slots=tuple(sorted(state.slots)), against=tuple(sorted(state.against)), by=by)


def _name(ids: SubmissionIds, part: FramePart | None, content: str | None) -> str:
    return set_name(ids, f"frames:{part.frame_count}" if part else f"content:{content}")


def _index(part: FramePart | None) -> int:
    return 0 if part is None else part.frame_index


def is_frame(slot: str) -> bool:
    """Whether a slot is a frame's."""
    return slot.startswith(f"{FRAME}:")


def _is_spoilt(state: PendingSet) -> bool:
    """Whether two frames were sent for one place: nobody can tell which of the two was meant."""
    return any(is_frame(slot) for slot in state.against)


def _is_analysed(detection: Detection) -> bool:
    finding: object = detection.finding
    return isinstance(finding, Sequence) and all(analysis.error is None for analysis in finding)
