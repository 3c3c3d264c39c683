"""Joined detections: a closed set's parts become one detection. Pure, so that every worker makes the same one.

Whatever is missing, contradictory or refused among the frames is a refusal of the whole; whatever is missing or
contradictory among the results of detector groups lowers the verdict later (`stream.pipeline.verdict.group_gate`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from abuse.links.reuse_references import ReuseReferences
from config.catalogues.error_codes import ErrorCode
from detectors.contract import Analysis
from stream.events.message.findings import GroupFault, GroupResult, joined_capture
from stream.events.message.messages import Detection, Refusal
from stream.events.message.session_terms import FrameContext
from stream.events.wire.detection_codec import DetectionError, decode_detection
from stream.events.wire.detection_part import DetectionPart, PartError, decode_part
from stream.pipeline.capture.compared_frames import Kinds, between
from stream.pipeline.join.pending import Closing, Parts

FRAMES_MISSING, FRAMES_CONTRADICT, SESSIONS_DIFFER = "frames_missing", "frames_contradict", "frame_sessions_differ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """Joined detection of a closed set, with the slots to remove after the decision. `by_deadline`: the sweep closed
    the set, and no record will publish its decision."""

    detection: Detection
    slots: tuple[str, ...]
    by_deadline: bool


def of_frames(closing: Closing, parts: Parts, groups: Sequence[str], kinds: Kinds) -> Joining:
    """Joined detection of a set that holds at least one frame. Raises DetectionError where none can be read."""
    counted = {slot: part for slot, part in parts.items() if slot in closing.slots}
    frames = _readable(counted)
    first = frames[min(frames)]
    joined = first if first.part is None else _of_parts(frames, first, first.part.frame_count, closing, kinds)
    results = tuple(_group_result(group, frames, counted, closing) for group in groups)
    return Joining(
        detection=replace(joined, part=None, groups=results if isinstance(joined.finding, tuple) else ()),
        slots=tuple(parts),
        by_deadline=closing.by is None,
    )


def _readable(counted: Parts) -> dict[int, Detection]:
    """Frames by their index. One that can't be read is missing, as long as another tells whose the set is. Raises
    DetectionError."""
    slots = sorted(slot for slot in counted if slot.startswith("frame:"))
    frames, fault = dict[int, Detection](), DetectionError("no frame")
    for slot in slots:
        try:
            frames[int(slot.rpartition(":")[2])] = decode_detection(counted[slot][1], set())
        except DetectionError as error:
            fault = error
    if not frames:
        raise fault
    return frames


def _of_parts(
    frames: Mapping[int, Detection], first: Detection, count: int, closing: Closing, kinds: Kinds
) -> Detection:
    in_order = [frames[index] for index in sorted(frames)]
    contexts = tuple((each.contexts or (FrameContext(),))[0] for each in in_order)
    return replace(
        first,
        fingerprint=fingerprint_of_frames({index: each.fingerprint for index, each in frames.items()}, count),
        appended_at_ms=max(each.appended_at_ms for each in in_order),
        finding=_finding(frames, first, count, closing),
        references=ReuseReferences(
            face=next((each.references.face for each in in_order if each.references.face), None),
            picture=first.references.picture,
        ),
        queue_ms=max(each.queue_ms for each in in_order),
        detection_ms=sum(each.detection_ms for each in in_order),
        encrypted=any(each.encrypted for each in in_order),
        session=next((each.session for each in in_order if each.session), None),
        capture=joined_capture([each.capture for each in in_order]),
        contexts=contexts if any(each.contexts for each in in_order) else (),
        face_distances=between([each.references.face for each in in_order], kinds),
        pixels=tuple(each.pixels[0] if each.pixels else None for each in in_order),
        frame_hashes=tuple(hashes for each in in_order for hashes in each.frame_hashes),
    )


def fingerprint_of_frames(fingerprints: Mapping[int, str], count: int) -> str:
    """128 bits over the fingerprints of a submission's frames in their order, and over which are missing."""
    told = [fingerprints.get(index) for index in range(count)]
    return hashlib.sha256(orjson.dumps(["frames", count, told])).hexdigest()[:32]


def _finding(
    frames: Mapping[int, Detection], first: Detection, count: int, closing: Closing
) -> tuple[Analysis, ...] | Refusal:
    """Analyses of all frames; or a refusal: frames for one place that contradict, then missing ones, then the first
    frame's own. Frames none of which is an attempt of the sender are none together."""
    counts = any(not isinstance(each.finding, Refusal) or each.finding.counts for each in frames.values())
    if any(slot.startswith("frame:") for slot in closing.against):
        return _refusal("two different frames were sent with one frame_index", FRAMES_CONTRADICT, counts=counts)
    if len(frames) < count:
        message = f"frames missing: {len(frames)} of {count} came in time"
        return _refusal(message, FRAMES_MISSING, counts=counts)
    found: list[Analysis] = []
    for index in sorted(frames):
        finding = frames[index].finding
        if isinstance(finding, Refusal):
            return finding
        if not isinstance(finding, tuple):
            return _refusal("a frame was decided before by itself", FRAMES_CONTRADICT)
        found += finding
    terms = {None if each.session is None else replace(each.session, attempt=1) for each in frames.values()}
    if len(terms) > 1:
        return _refusal("the frames were sent with different sessions", SESSIONS_DIFFER)
    return tuple(found)


def _refusal(message: str, reason: str, *, counts: bool = True) -> Refusal:
    return Refusal(error=ErrorCode.INVALID_REQUEST, message=message, reason=reason, counts=counts)


def _group_result(group: str, frames: Mapping[int, Detection], counted: Parts, closing: Closing) -> GroupResult:
    found: list[DetectionPart] = []
    for index, frame in frames.items():
        slot = f"{group}:{index}"
        if slot not in counted:
            return GroupResult(group=group, fault=GroupFault.MISSING)
        try:
            part = decode_part(counted[slot][1])
        except PartError:
            return GroupResult(group=group, fault=GroupFault.MISSING)
        if slot in closing.against or part.content != frame.content:
            return GroupResult(group=group, fault=GroupFault.CONTRADICTORY)
        found.append(part)
    models = dict.fromkeys(model for part in found for model in part.models)
    return GroupResult(
        group=group, readings=tuple(reading for part in found for reading in part.shown()), models=tuple(models)
    )
